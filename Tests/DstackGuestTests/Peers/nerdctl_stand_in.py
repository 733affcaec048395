"""Stands in for nerdctl where there is none: `nerdctl_stand_in.py STATE [--namespace N] COMMAND …`.

Containers are ordinary processes, whose output goes to files as nerdctl's `json-file` driver writes it. The commands, their
options, what they write, to which pipe, and how they fail are as nerdctl 2.2.1 has been seen to do; what the agent does not
use is not here.
"""

import argparse
import datetime
import json
import os
import re
import secrets
import signal
import subprocess
import sys
import threading
import time

STATE = sys.argv[1]


def fatal(message):
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    quoted = message.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    os.write(2, f'time="{now}" level=fatal msg="{quoted}"\n'.encode())
    sys.exit(1)


def remark(message):
    os.write(2, f'time="2026-01-01T00:00:00Z" level=warning msg="{message}"\n'.encode())


def now():
    """As Go writes a time: no zeros at the end of the fraction."""
    nanoseconds = time.time_ns()
    text = datetime.datetime.fromtimestamp(nanoseconds // 10**9, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")
    fraction = f"{nanoseconds % 10**9:09}".rstrip("0")
    return f"{text}.{fraction}Z" if fraction else f"{text}Z"


def seconds(text):
    return datetime.datetime.strptime(text[:19], "%Y-%m-%dT%H:%M:%S").replace(tzinfo=datetime.timezone.utc).timestamp()


def path(namespace, *names):
    return os.path.join(STATE, namespace, *names)


def containers(namespace):
    """Newest first."""
    found = []
    for name in os.listdir(path(namespace)) if os.path.isdir(path(namespace)) else []:
        with open(path(namespace, name, "config.json")) as file:
            container = json.load(file)
        container["status"] = status(namespace, container)
        found.append(container)
    return sorted(found, key=lambda container: container["created"], reverse=True)


def status(namespace, container):
    try:
        with open(path(namespace, container["id"], "exit")) as file:
            return f"Exited ({file.read()}) 1 second ago"
    except FileNotFoundError:
        return "Up"


def find(namespace, name):
    for container in containers(namespace):
        if container["id"].startswith(name) or container["name"] == name:
            return container
    return None


# Commands


def run(namespace, arguments):
    parser = argparse.ArgumentParser()
    for option in ["--name", "--pull", "--net", "--health-cmd", "--log-driver"]:
        parser.add_argument(option)
    parser.add_argument("--label", action="append", default=[])
    parser.add_argument("-d", action="store_true")
    parser.add_argument("image")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    options = parser.parse_args(arguments)
    identity = secrets.token_hex(32)
    os.makedirs(path(namespace, identity))
    config = {
        "id": identity, "name": options.name, "image": options.image, "created": now(),
        "labels": dict(label.split("=", 1) for label in options.label), "driver": options.log_driver or "json-file",
        "health": options.health_cmd,
    }
    with open(path(namespace, identity, "config.json"), "w") as file:
        json.dump(config, file)
    open(path(namespace, identity, "log"), "w").close()
    if os.fork() == 0:
        os.setsid()
        null = os.open("/dev/null", os.O_RDWR)
        for number in (0, 1, 2):
            os.dup2(null, number)
        supervise(namespace, identity, options.command)
        os._exit(0)
    print(identity)


def supervise(namespace, identity, command):
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
    with open(path(namespace, identity, "pid"), "w") as file:
        file.write(str(process.pid))
    lock = threading.Lock()

    def copy(pipe, stream):
        for line in pipe:
            with lock, open(path(namespace, identity, "log"), "a") as file:
                entry = {"log": line.decode(errors="replace"), "stream": stream, "time": now()}
                file.write(json.dumps(entry) + "\n")

    threads = [
        threading.Thread(target=copy, args=(process.stdout, "stdout")),
        threading.Thread(target=copy, args=(process.stderr, "stderr")),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    code = process.wait()
    with open(path(namespace, identity, "exit.new"), "w") as file:
        file.write(str(code if code >= 0 else 128 - code))
    os.rename(path(namespace, identity, "exit.new"), path(namespace, identity, "exit"))


def ps(namespace, arguments):
    parser = argparse.ArgumentParser()
    for option in ["--all", "--no-trunc"]:
        parser.add_argument(option, action="store_true")
    parser.add_argument("--format")
    options = parser.parse_args(arguments)
    for container in containers(namespace):
        if not options.all and container["status"] != "Up":
            continue
        fields = {
            "ID": container["id"] if options.no_trunc else container["id"][:12], "Names": container["name"] or "",
            "Image": container["image"], "CreatedAt": container["created"], "Status": container["status"],
        }

        def value(match):
            label = re.fullmatch(r'\{\{json \(\.Label "([^"]*)"\)\}\}', match[0])
            field = re.fullmatch(r"\{\{json \.(\w+)\}\}", match[0])
            text = container["labels"].get(label[1], "") if label else fields[field[1]]
            return json.dumps(text)

        print(re.sub(r"\{\{.*?\}\}", value, options.format))


def inspect(namespace, arguments):
    parser = argparse.ArgumentParser()
    parser.add_argument("--mode")
    parser.add_argument("names", nargs="*")
    options = parser.parse_args(arguments)
    entries, missing = [], []
    for name in options.names:
        container = find(namespace, name)
        if not container:
            missing.append(f"no such container: {name}")
            continue
        running = container["status"] == "Up"
        state = {"Status": "running" if running else "exited", "Running": running}
        if container["health"]:
            healthy = subprocess.run(["sh", "-c", container["health"]]).returncode == 0
            state["Health"] = {"Status": "healthy" if healthy else "unhealthy", "FailingStreak": 0}
        entries.append({"Id": container["id"], "Name": container["name"], "State": state})
    if missing:
        fatal(f"{len(missing)} errors:\n" + "\n".join(missing))
    remark("failed to inspect NetNS")
    print(json.dumps(entries, indent=4))


def logs(namespace, arguments):
    parser = argparse.ArgumentParser()
    for option in ["--follow", "--timestamps"]:
        parser.add_argument(option, action="store_true")
    for option in ["--tail", "--since", "--until"]:
        parser.add_argument(option)
    parser.add_argument("name")
    options = parser.parse_args(arguments)
    container = find(namespace, options.name)
    if not container:
        fatal(f"no such container {options.name}")
    if container["driver"] == "none":
        fatal("log type `none` was selected, nothing to log")
    tail = 0 if options.tail in (None, "all") else int(options.tail)
    follow = options.follow and container["status"] == "Up"
    with open(path(namespace, container["id"], "log")) as file:
        lines = file.readlines()
        position = file.tell()
    remark("this is about nerdctl and not of the container")
    for line in lines[-tail:] if tail else lines:
        show(line, options)
    while follow:
        # Before reading: what comes after the end was known is of nobody.
        follow = find(namespace, container["id"])["status"] == "Up"
        with open(path(namespace, container["id"], "log")) as file:
            file.seek(position)
            lines = [line for line in file.readlines() if line.endswith("\n")]
        position += sum(len(line.encode()) for line in lines)
        for line in lines:
            show(line, options)
        time.sleep(0.01)


def show(line, options):
    entry = json.loads(line)
    written = seconds(entry["time"]) + float("0." + (entry["time"][20:].rstrip("Z") or "0"))
    if options.since and written < int(options.since):
        return
    if options.until and written > int(options.until):
        return
    text = (entry["time"] + " " if options.timestamps else "") + entry["log"]
    data = text.encode()
    while data:
        data = data[os.write(1 if entry["stream"] == "stdout" else 2, data):]


def await_end(namespace, name):
    container = find(namespace, name)
    while status(namespace, container) == "Up":
        time.sleep(0.01)
    return container


def wait(namespace, arguments):
    for name in arguments:
        container = await_end(namespace, name)
        with open(path(namespace, container["id"], "exit")) as file:
            print(file.read())


def rm(namespace, arguments):
    for name in arguments:
        container = find(namespace, name)
        if name == "-f" or not container:
            continue
        try:
            with open(path(namespace, container["id"], "pid")) as file:
                os.killpg(int(file.read()), signal.SIGKILL)
        except (FileNotFoundError, ProcessLookupError):
            pass
        await_end(namespace, name)
        for file in os.listdir(path(namespace, container["id"])):
            os.remove(path(namespace, container["id"], file))
        os.rmdir(path(namespace, container["id"]))


def main():
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    arguments = sys.argv[2:]
    namespace = "default"
    if arguments[:1] == ["--namespace"]:
        namespace, arguments = arguments[1], arguments[2:]
    if os.path.exists(os.path.join(STATE, "down")):
        fatal('cannot access containerd socket "/run/containerd/containerd.sock": no such file or directory')
    if arguments[0] == "container":
        arguments = arguments[1:]
    commands = {"run": run, "ps": ps, "inspect": inspect, "logs": logs, "wait": wait, "rm": rm}
    commands[arguments[0]](namespace, arguments[1:])


main()
