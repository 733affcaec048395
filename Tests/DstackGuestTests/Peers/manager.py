"""A service manager in miniature: opens the sockets, starts the agent with them, and watches how it says that it fares.

usage: manager.py AGENT DIRECTORY; the directory has a configuration, agent.json, whose sockets must not come into being
"""
import json
import os
import signal
import socket
import sys
import time

agent, directory = sys.argv[1], sys.argv[2]


def expect(condition, what):
    if not condition:
        raise SystemExit(f"not so: {what}")


def listen(name):
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(f"{directory}/{name}")
    listener.listen(16)
    return listener


def ask(name, path):
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(60)
        client.connect(f"{directory}/{name}")
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        answer = b""
        while part := client.recv(65536):
            answer += part
    return answer


listeners = [listen("activated-dstack.sock"), listen("activated-tappd.sock")]
notices = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
notices.bind(f"{directory}/notify")
notices.settimeout(120)


def start():
    child = os.fork()
    if child == 0:
        # Above the numbers that they are to have.
        high = [os.dup(os.dup(os.dup(os.dup(listener.fileno())))) for listener in listeners]
        for number, descriptor in enumerate(high):
            os.dup2(descriptor, 3 + number, inheritable=True)
        os.execve(agent, [agent, "--watchdog", "-c", f"{directory}/agent.json"], {
            "LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "2", "NOTIFY_SOCKET": f"{directory}/notify",
            "WATCHDOG_USEC": "2000000", "PATH": "/usr/bin:/bin"})
    return child


def await_notice(word):
    end = time.time() + 120
    while time.time() < end:
        if word in notices.recv(4096).decode():
            return
    raise SystemExit(f"never said: {word}")


keys = []
for run in range(2):
    child = start()
    await_notice("READY=1")
    expect(b"200 OK" in ask("activated-dstack.sock", "/Version"), "the main socket answers")
    expect(b"200 OK" in ask("activated-tappd.sock", "/prpc/Tappd.Version"), "the older socket answers")
    keys.append(json.loads(ask("activated-dstack.sock", "/GetKey?path=a").split(b"\r\n\r\n", 1)[1])["key"])
    expect(not os.path.exists(f"{directory}/dstack.sock"), "configured sockets are not bound beside")
    await_notice("WATCHDOG=1")
    await_notice("WATCHDOG=1")
    os.kill(child, signal.SIGTERM)
    await_notice("STOPPING=1")
    _, status = os.waitpid(child, 0)
    expect(status == 0, f"it ends well: {status}")
    # Whoever connects while nobody serves waits for the next run.
    expect(os.path.exists(f"{directory}/activated-dstack.sock"), "the socket outlives the agent")
expect(keys[0] == keys[1], "the keys are the same after a restart")
print("done")
