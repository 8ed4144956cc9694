"""``python -m hybrid`` is the command ``qml``."""

from hybrid.cli import main

main()
