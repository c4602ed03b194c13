#!/usr/bin/python3
"""runtimeapi.py [options] COMMAND...: a small Lambda Runtime API for one invocation.

Starts COMMAND with AWS_LAMBDA_RUNTIME_API=127.0.0.1:PORT in its environment, gives its runtime one
event, prints the answer's body, and ends: status 0 for an answer, 1 for an error that the function or
its start reported (its body is printed too), or when the command ends or the time is over without
any.  The next request for an event gets no answer: the connection closes, and the runtime ends; a command
that does not is killed with its process group.  What the command writes goes to stderr.
"""
import argparse, http.server, os, signal, subprocess, sys, threading, uuid

PREFIX = "/2018-06-01/runtime/"


class API(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def body(self):
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def reply(self, status, data=b"", **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self):
        if self.path != PREFIX + "invocation/next":
            return self.reply(404)
        if self.server.given:           # one is all there is
            self.close_connection = True
            return None
        self.server.given = str(uuid.UUID(int=1))
        return self.reply(200, self.server.event, Content_Type="application/json", Lambda_Runtime_Aws_Request_Id=self.server.given,
                          Lambda_Runtime_Deadline_Ms="4102444800000",
                          Lambda_Runtime_Invoked_Function_Arn="arn:aws:lambda:eu-west-1:111122223333:function:prototype-lambda")

    def do_POST(self):
        data = self.body()
        of = f"{PREFIX}invocation/{self.server.given}/"
        status = {of + "response": 0, of + "error": 1, PREFIX + "init/error": 1}.get(self.path)
        if status is None:
            return self.reply(404)
        self.reply(202, b'{"status":"OK"}\n', Content_Type="application/json")
        return self.server.answered(status, data)


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, event):
        super().__init__(("127.0.0.1", 0), API)
        self.event, self.given, self.answer, self.done = event, None, None, threading.Event()

    def answered(self, status, data):
        if self.answer is None:
            self.answer = status, data
        self.done.set()

    def handle_error(self, request, client_address):
        pass                            # a runtime that goes away is no news


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--event", default="{}", help="JSON (default {})")
    ap.add_argument("--timeout", type=float, default=60, help="seconds (default 60)")
    ap.add_argument("command", nargs=argparse.REMAINDER)
    a = ap.parse_args()
    if not a.command:
        ap.error("no command")
    server = Server(a.event.encode())
    threading.Thread(target=server.serve_forever, daemon=True).start()
    env = {**os.environ, "AWS_LAMBDA_RUNTIME_API": "127.0.0.1:%d" % server.server_port}
    process = subprocess.Popen(a.command, stdin=subprocess.DEVNULL, stdout=sys.stderr, env=env, start_new_session=True)
    for s in (signal.SIGTERM, signal.SIGINT):
        signal.signal(s, lambda number, frame: sys.exit(128 + number))
    threading.Thread(target=lambda: (process.wait(), server.done.set()), daemon=True).start()
    try:
        server.done.wait(a.timeout)
        if server.answer:
            process.wait(10)            # it ends by itself, and cleans up
    except subprocess.TimeoutExpired:
        pass
    finally:
        ended = process.poll()
        if ended is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    if server.answer is None:
        why = "not within %g s" % a.timeout if ended is None else "the command ended with status %d" % ended
        print("runtimeapi: no answer, " + why, file=sys.stderr)
        return 1
    status, data = server.answer
    sys.stdout.write(data.decode("utf-8", "replace").rstrip("\n") + "\n")
    return status


if __name__ == "__main__":
    sys.exit(main())
