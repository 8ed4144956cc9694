"""The command ``qml``, also as ``python -m hybrid``: hears Ctrl-C before it imports anything slow."""

import os


def main() -> None:
    """Run the command line; Ctrl-C is one line on stderr and exit code 130, also in the middle of an import."""
    try:
        import signal

        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # else a shell wants it to be ignored
            signal.signal(signal.SIGINT, interrupted)
        from hybrid import cli

        cli.main()
    except KeyboardInterrupt:
        interrupted()


def interrupted(*_: object) -> None:
    """End at once: an exception thrown into an import may be swallowed there, or come out as another one."""
    os.write(2, b"qml: Interrupted; the same command goes on where it was.\n")
    os._exit(130)


if __name__ == "__main__":
    main()
