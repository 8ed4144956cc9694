"""A stand-in of the IBM Quantum service on loopback: the HTTP that qiskit-ibm-runtime speaks, with faults on demand.

    python tests/service.py --state FOLDER --port 8000

Plain standard library; only `service_execute`, which runs a job, imports Qiskit. Jobs lie in the folder, one record
per job, written whole: after kill -9 and a new start they are all there, and those that had not ended run again.
`/control` is for tests (see `service_fixture`): settings, faults, and what the service has seen.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import re
import shutil
import socket
import struct
import sys
import threading
import time
import traceback
import uuid
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

CRN = "crn:v1:bluemix:public:quantum-computing:us-east:a/0:stand-in::"
API_KEY = "stand-in-api-key-never-to-be-seen-anywhere"
DEVICES = {"ibm_manila": "manila", "ibm_lima": "lima"}  # name here -> fake device of qiskit-ibm-runtime it is
API = "/api/v1"
SETTINGS = {
    "answers": "exact",  # how jobs are answered, see service_execute
    "hold": None,  # status in which jobs stay: "Queued" or "Running"
    "faults": [],  # what goes wrong on the way, see take_fault
    "failures": [],  # how the next jobs end: {"status", "reason", "code"}
    "queue": {},  # device -> jobs of others in its queue
    "search_lag": 0,  # how many searches do not show the newest job yet
    "seconds": 2.0,  # billed per job
    "billing": "final",  # or "pending"
    "usage_limit_reached": False,
    "token_life": 3600,  # seconds; a negative one makes the client ask for a new token every time
    "login": 0,  # tokens of earlier logins are refused
    "sessions": {},
}
FINAL = ("Completed", "Failed", "Cancelled")
HEADER = {"alg": "RS256", "typ": "JWT"}
INSTANCE = {"crn": CRN, "name": "stand-in", "service_plan_unique_id": "plan", "tags": []}
PLAN = {"overview_ui": {"en": {"display_name": "Open"}}, "metadata": {"pricing": {"type": "free"}}}


class State:
    """What the service knows, on disk."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.changed = threading.Condition(threading.RLock())
        self.load()

    def load(self) -> None:
        (self.folder / "jobs").mkdir(parents=True, exist_ok=True)
        records = [json.loads(path.read_text()) for path in (self.folder / "jobs").glob("*.json")]
        self.jobs = {job["id"]: job for job in sorted(records, key=lambda job: job["number"])}
        settings = self.folder / "settings.json"
        self.settings = {**SETTINGS, **(json.loads(settings.read_text()) if settings.exists() else {})}
        log = self.folder / "requests.log"
        self.requests = log.read_text().splitlines() if log.exists() else []

    def reset(self) -> None:
        with self.changed:
            shutil.rmtree(self.folder / "jobs")
            for name in ("settings.json", "requests.log"):
                (self.folder / name).unlink(missing_ok=True)
            self.load()

    def change(self, **settings) -> None:
        with self.changed:
            self.settings.update(settings)
            write(self.folder / "settings.json", json.dumps(self.settings))
            self.changed.notify_all()

    def note(self, line: str) -> None:
        with self.changed:
            self.requests.append(line)
            with open(self.folder / "requests.log", "a") as file:
                file.write(line + "\n")

    def create(self, body: dict) -> dict:
        """Take a job: once its record is there, it is there for good."""
        with self.changed:
            number = 1 + max((job["number"] for job in self.jobs.values()), default=0)
            job = {
                "id": uuid.uuid4().hex[:20],
                "number": number,
                "status": "Queued",
                "created": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
                "program_id": body["program_id"],
                "backend": body["backend"],
                "tags": body.get("tags", []),
                "session_id": body.get("session_id"),
            }
            write(self.folder / "jobs" / f"{job['id']}.params", json.dumps(body["params"]))
            self.jobs[job["id"]] = job
            self.update(job)
            return job

    def update(self, job: dict, **fields) -> None:
        with self.changed:
            job.update(fields)
            write(self.folder / "jobs" / f"{job['id']}.json", json.dumps(job))
            self.changed.notify_all()

    def params(self, job: dict) -> str:
        return (self.folder / "jobs" / f"{job['id']}.params").read_text()

    def result(self, job: dict) -> str:
        path = self.folder / "jobs" / f"{job['id']}.result"
        return path.read_text() if path.exists() else ""

    def end(self, job: dict, status: str, result: str = "", reason: str | None = None, code: int | None = None) -> None:
        with self.changed:
            if job["status"] in FINAL or job["id"] not in self.jobs:  # cancelled, or forgotten, in the meantime
                return
            write(self.folder / "jobs" / f"{job['id']}.result", result)
            billed = {"seconds": self.settings["seconds"]} if status == "Completed" else {}
            self.update(job, status=status, reason=reason, reason_code=code, **billed)

    def take_fault(self, method: str, path: str) -> dict | None:
        """Return the fault that this request meets.

        A fault has a kind, a `match` (searched in the path), perhaps a `method`, how many requests pass before it
        (`skip`) and how many meet it (`n`, None: all until told otherwise). Kinds: "drop", "hang" and "status" before
        the request is read, "drop_after" and "hang_after" when it was carried out but its answer is not sent, "cut":
        half of the answer, "text": somebody else's answer, a page of a proxy.
        """
        with self.changed:
            for fault in self.settings["faults"]:
                if re.search(fault["match"], path) and fault.get("method") in (None, method):
                    if fault.get("skip"):
                        fault["skip"] -= 1
                    elif fault["n"] != 0:
                        fault["n"] = None if fault["n"] is None else fault["n"] - 1
                        self.change()
                        return fault
            return None

    def next_job(self) -> dict:
        """Wait for a job that may run; jobs run one after the other."""
        with self.changed:
            while True:
                for job in self.jobs.values():
                    if job["status"] == "Queued" and self.settings["hold"] != "Queued":
                        self.update(job, status="Running")
                    if job["status"] == "Running" and self.settings["hold"] is None:
                        return job
                self.changed.wait()

    def next_failure(self) -> dict | None:
        with self.changed:
            failures = self.settings["failures"]
            failure = failures.pop(0) if failures else None
            self.change()
            return failure


def write(path: Path, text: str) -> None:
    temporary = path.with_name(f"{path.name}.{threading.get_ident()}.tmp")
    temporary.write_text(text)
    os.replace(temporary, path)


def work(state: State) -> None:
    """Run the jobs."""
    while True:
        job = state.next_job()
        failure = state.next_failure()
        if failure:
            text = "Traceback (most recent call last): it failed" if failure["status"] == "Failed" else ""
            state.end(job, failure["status"], text, failure.get("reason"), failure.get("code"))
            continue
        try:
            from service_execute import execute

            text = execute(job["program_id"], state.params(job), DEVICES[job["backend"]], state.settings["answers"])
            state.end(job, "Completed", text)
        except FileNotFoundError:  # the state was reset meanwhile
            continue
        except Exception as error:
            state.end(job, "Failed", traceback.format_exc(), f"{type(error).__name__}: {error}", 1000)


class Refusal(Exception):
    def __init__(self, status: int, message: str, code: int = 1000) -> None:
        super().__init__(status, message, code)


def answer(state: State, method: str, parts: list[str], query: dict, body: dict):
    """Return what the service says: JSON, a text, or None for an answer without content."""
    match method, parts:
        case "GET", ["instances", "usage"]:
            used = sum(job.get("seconds", 0.0) for job in state.jobs.values())
            reached = state.settings["usage_limit_reached"]
            return {"usage_consumed_seconds": used, "usage_limit_seconds": 600, "usage_limit_reached": reached}
        case "GET", ["backends"]:
            return {"devices": [device(state, name) for name in DEVICES]}
        case "GET", ["backends", name, part]:
            return backend(state, name, part)
        case "POST", ["jobs"]:
            job = state.create(body)
            return {"id": job["id"], "backend": job["backend"]}
        case "GET", ["jobs"]:
            return search(state, query)
        case "POST", ["sessions"]:
            return open_session(state, body)
        case _, ["sessions", session_id, *_]:
            return session(state, method, session_id)
        case _, ["jobs", job_id, *rest]:
            with state.changed:
                return about_job(state, method, known(state.jobs, job_id, "Job"), rest, query, body)
    raise Refusal(404, "Not found")


def about_job(state: State, method: str, job: dict, rest: list[str], query: dict, body: dict):
    match method, rest:
        case "GET", []:
            with_params = query.get("exclude_params") != ["true"]
            return {**shown(job), **({"params": json.loads(state.params(job))} if with_params else {})}
        case "GET", ["results"]:
            return state.result(job)
        case "GET", ["logs"]:
            return ""
        case "GET", ["metrics"]:
            usage = {"status": state.settings["billing"], "qpu_charge_time_seconds": job.get("seconds", 0.0)}
            return {"usage": usage, "timestamps": {"created": job["created"], "running": None, "finished": None}}
        case "PUT", ["tags"]:
            return state.update(job, tags=body["tags"])
        case "POST", ["cancel"]:
            if job["status"] in FINAL:
                raise Refusal(409, f"Job {job['id']} cannot be cancelled: it has ended", 1302)
            return state.end(job, "Cancelled", "", "Cancelled by user")
        case "DELETE", []:
            for path in (state.folder / "jobs").glob(f"{job['id']}.*"):
                path.unlink()
            del state.jobs[job["id"]]
            return None
    raise Refusal(404, "Not found")


def known(table: dict, key: str, kind: str) -> dict:
    if key not in table:
        raise Refusal(404, f"{kind} not found. {kind} ID: {key}", 1291)
    return table[key]


def shown(job: dict) -> dict:
    state = {key: job[key] for key in ("status", "reason", "reason_code") if job.get(key) is not None}
    fields = {key: job[key] for key in ("id", "backend", "created", "tags", "session_id")}
    return {**fields, "program": {"id": job["program_id"]}, "state": state, "status": job["status"]}


def search(state: State, query: dict) -> dict:
    """Find jobs, newest first."""
    with state.changed:
        jobs = sorted(state.jobs.values(), key=lambda job: -job["number"])
        if state.settings["search_lag"] > 0:
            state.change(search_lag=state.settings["search_lag"] - 1)
            jobs = jobs[1:]
    wanted = {key: values[0] for key, values in query.items()}
    if "pending" in wanted:
        jobs = [job for job in jobs if (job["status"] not in FINAL) == (wanted["pending"] == "true")]
    for key, field in {"backend": "backend", "program": "program_id", "session_id": "session_id"}.items():
        jobs = [job for job in jobs if wanted.get(key) in (None, job[field])]
    jobs = [job for job in jobs if set(query.get("tags", [])) <= set(job["tags"])]
    offset, limit = int(wanted.get("offset", 0)), int(wanted.get("limit", 20))
    return {"jobs": [shown(job) for job in jobs[offset : offset + limit]], "count": len(jobs), "offset": offset}


def queue_length(state: State, name: str) -> int:
    with state.changed:
        own = [job for job in state.jobs.values() if job["backend"] == name and job["status"] not in FINAL]
        return len(own) + state.settings["queue"].get(name, 0)


def device(state: State, name: str) -> dict:
    queued = queue_length(state, name)
    return {"name": name, "status": {"name": "online"}, "qubits": 5, "queue_length": queued, "class": "nisq"}


def backend(state: State, name: str, part: str) -> dict:
    fake = known(DEVICES, name, "Backend")
    if part == "status":
        return {"state": True, "status": "active", "length_queue": queue_length(state, name), "backend_version": "1"}
    package = Path(find_spec("qiskit_ibm_runtime").origin).parent
    prefix = {"configuration": "conf", "properties": "props"}[part]
    found = json.loads((package / "fake_provider/backends" / fake / f"{prefix}_{fake}.json").read_text())
    return {**found, "backend_name": name}


def open_session(state: State, body: dict) -> dict:
    opened = {
        "id": uuid.uuid4().hex[:20],
        "backend_name": body.get("backend"),
        "mode": body.get("mode", "dedicated"),
        "state": "open",
        "accepting_jobs": True,
        "max_ttl": body.get("max_ttl", 3600),
    }
    with state.changed:
        state.change(sessions={**state.settings["sessions"], opened["id"]: opened})
    return opened


def session(state: State, method: str, session_id: str):
    with state.changed:
        found = known(state.settings["sessions"], session_id, "Session")
        if method != "GET":
            found.update(state="closed", accepting_jobs=False)
            state.change()
        return None if method == "DELETE" else found


def login(state: State, body: str) -> dict:
    """Return a token; who asks must have the API key."""
    if f"apikey={API_KEY}" not in unquote(body).replace("+", " "):
        raise Refusal(400, "Provided API key could not be found.")
    issued = int(time.time())
    expires = issued + state.settings["token_life"]
    claims = {"iat": issued - (1 if expires < issued else 0), "exp": expires}
    token = ".".join(map(encoded, (HEADER, claims, state.settings["login"])))
    return {"access_token": token, "refresh_token": "none", "token_type": "Bearer", "expires_in": 3600}


def encoded(part) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")


def control(state: State, method: str, parts: list[str], body: dict):
    """Answer the tests."""
    match method, parts:
        case "GET", []:
            with state.changed:
                jobs = [{**job, "result": state.result(job)} for job in state.jobs.values()]
                return {"settings": state.settings, "jobs": jobs, "requests": state.requests}
        case "POST", ["settings"]:
            return state.change(**body)
        case "POST", ["faults"]:
            with state.changed:
                return state.change(faults=[*state.settings["faults"], body])
        case "POST", ["reset"]:
            return state.reset()
    raise Refusal(404, "Not found")


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # head and body in one packet
    state: State

    def serve(self) -> None:
        url = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        is_control = url.path.startswith("/control")
        fault = None if is_control else self.state.take_fault(self.command, url.path)
        kind = fault["kind"] if fault else ""
        if not is_control:
            self.state.note(f"{self.command} {url.path} {kind}".strip())
        match kind:
            case "drop":
                return self.drop()
            case "hang":
                return self.hang()
            case "status":
                retry_after = {"Retry-After": str(fault["retry_after"])} if "retry_after" in fault else {}
                return self.send(fault["status"], error(fault.get("message", "injected"), fault["status"]), retry_after)
            case "text":
                return self.send(200, fault.get("text", "<html>Please log in to the network</html>"))
        status, content = self.carry_out(url, body)
        match kind:
            case "drop_after":
                return self.drop()
            case "hang_after":
                return self.hang()
        self.send(status, content, cut=kind == "cut")

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = serve

    def carry_out(self, url, body: str):
        try:
            content = self.route(url, body)
        except Refusal as refusal:
            status, message, code = refusal.args
            return status, error(message, code)
        return (204, "") if content is None else (200, content)

    def route(self, url, body: str):
        parts = url.path.strip("/").split("/")
        if url.path == "/identity/token":
            return login(self.state, body)
        content = json.loads(body) if body else {}
        match parts:
            case ["control", *rest]:
                return control(self.state, self.command, rest, content)
            case ["v3", "resources", "search"]:
                return {"items": [{**INSTANCE, "doc": {"extensions": {"backends": len(DEVICES)}}}]}
            case ["catalog", _]:
                return PLAN
            case ["api", "v1", *rest] | ["experimental", "api", "v1", *rest]:
                self.check_token()
                return answer(self.state, self.command, rest, parse_qs(url.query), content)
        raise Refusal(404, "Not found")

    def check_token(self) -> None:
        scheme, _, token = self.headers.get("Authorization", "").partition(" ")
        if scheme == "apikey":
            self.state.note("API key sent as authorization")
        if scheme != "Bearer" or token.rpartition(".")[2] != encoded(self.state.settings["login"]):
            raise Refusal(401, "Not authorized", 1200)

    def send(self, status: int, content, headers: dict = {}, cut: bool = False) -> None:  # noqa: B006
        is_text = isinstance(content, str)
        data = (content if is_text else json.dumps(content)).encode()
        about = {"Content-Type": "text/plain" if is_text else "application/json", "Content-Length": str(len(data))}
        self.send_response(status)
        for name, value in {**headers, **about}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data[: len(data) // 2] if cut else data)
        if cut:
            self.wfile.flush()
            self.close_connection = True

    def drop(self) -> None:
        """Reset the connection."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True

    def hang(self) -> None:
        """Say nothing until the client has gone."""
        try:
            while self.connection.recv(1):
                pass
        except OSError:
            pass
        self.close_connection = True

    def log_message(self, *args) -> None:
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request, client_address) -> None:
        if not isinstance(sys.exc_info()[1], OSError | ValueError):  # a dropped connection, on purpose
            super().handle_error(request, client_address)


def error(message: str, code: int) -> dict:
    return {"error": {"message": message, "code": code}, "errors": [{"message": message, "code": code}]}


def die_with_parent() -> None:
    sys.stdin.read()
    os._exit(0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--state", type=Path, required=True, help="folder of the jobs")
    parser.add_argument("--port", type=int, default=0)
    options = parser.parse_args()
    Handler.state = State(options.state)
    server = Server(("127.0.0.1", options.port), Handler)
    threading.Thread(target=work, args=(Handler.state,), daemon=True).start()
    threading.Thread(target=die_with_parent, daemon=True).start()
    print(server.server_port, flush=True)
    server.serve_forever(poll_interval=0.05)


if __name__ == "__main__":
    main()
