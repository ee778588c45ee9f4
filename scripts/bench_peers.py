"""Runs and measures; see scripts/bench-peers, which prepares the folder in which this stands."""
import datetime
import glob
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import threading
import time

bin, venv, port, account, jobs, rounds, latency, document, sizes = sys.argv[1:]
rounds, latency, sizes = int(rounds), int(latency) / 1000, [int(size) for size in sizes.split()]
here = os.path.dirname(os.path.abspath(__file__))
folder = os.getcwd()
key, known = f"{folder}/keys/id_ed25519", f"{folder}/keys/known_hosts"
gather = open("gather").read().strip()
python = f"{venv}/bin/python"
environment = {**os.environ, "ANSIBLE_CONFIG": f"{folder}/ansible.cfg", "ANSIBLE_NOCOLOR": "1", "NO_COLOR": "1",
               "PDSH_SSH_ARGS": f"-F {folder}/ssh_config %h", "PDSH_RCMD_TYPE": "ssh"}
# What is the same for all: no agent, no configuration of whoever runs this.
environment.pop("SSH_AUTH_SOCK", None)
environment["HOME"] = folder
PATIENCE = 300


def below(pid):
    """A process and all that it started."""
    found, waiting = [], [pid]
    while waiting:
        one = waiting.pop()
        found.append(one)
        for file in glob.glob(f"/proc/{one}/task/*/children"):
            try:
                waiting.extend(map(int, open(file).read().split()))
            except OSError:
                pass
    return found


def memory(pids):
    """Their memory in MB, what several share counted once."""
    total = 0
    for pid in pids:
        try:
            lines = open(f"/proc/{pid}/smaps_rollup").read().splitlines()
        except OSError:
            continue
        total += next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)
    return total / 1024


def run(words, watch=False):
    """To the end: client CPU in ms with all children, wall time, peak memory where that is watched, output."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        start, peak = time.monotonic(), 0.0
        child = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=out, stderr=err, env=environment)
        late = threading.Timer(PATIENCE, child.kill)
        late.start()
        done = 0
        while watch and not done:
            peak = max(peak, memory(below(child.pid)))
            time.sleep(0.02)
            done, status, usage = os.wait4(child.pid, os.WNOHANG)
        if not done:
            _, status, usage = os.wait4(child.pid, 0)
        wall = time.monotonic() - start
        late.cancel()
        child.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0), err.seek(0)
        text = out.read().decode(errors="replace")
        if child.returncode:
            sys.exit(f"FAILED: {words[:4]}: exit {child.returncode}\n{text[-2000:]}\n{err.read().decode()[-2000:]}")
    return dict(cpu=(usage.ru_utime + usage.ru_stime) * 1000, wall=wall, memory=peak), text


def gathered(text):
    return text.count("MemTotal:")


def collected(text):
    return sum(host["outcome"] == "collected" and not host["probe_shipped"] for host in json.loads(text)["hosts"])


def ours(name):
    return [f"{bin}/fleet-collector", "--config", f"{name}.xml", "--json"]


def file_of(hosts):
    """The hosts one a line, for those who want a file."""
    name = f"hosts-{len(hosts)}-{hosts[0]}"
    with open(name, "w") as file:
        file.writelines(f"{host}\n" for host in hosts)
    return name


xargs = lambda hosts, *words: ["xargs", "-a", file_of(hosts), "-P", jobs, "-I@", *words]
ssh = lambda config: lambda hosts: xargs(hosts, "ssh", "-F", config, "@", gather)
ansible = lambda hosts: [f"{venv}/bin/ansible", "all", "-i", file_of(hosts), "-f", jobs]
# What is run for a list of addresses, and how many hosts answered by its output.
WAYS = {
    "parallel-ssh 2.16 (libssh2, Python)": (
        lambda hosts: [python, f"{here}/peers/with_parallel_ssh.py", port, account, key, jobs, gather, *hosts], gathered),
    "asyncssh 2.24": (
        lambda hosts: [python, f"{here}/peers/with_asyncssh.py", port, account, key, known, jobs, gather, *hosts], gathered),
    "xargs ssh, curve25519 forced": (ssh("ssh_config.curve"), gathered),
    "xargs ssh": (ssh("ssh_config"), gathered),
    "pssh": (
        lambda hosts: ["parallel-ssh", "-h", file_of(hosts), "-p", jobs, "-t", "60", "-i", "-x", "-F ssh_config", gather],
        gathered),
    "pdsh": (lambda hosts: ["pdsh", "-w", ",".join(hosts), "-f", jobs, gather], gathered),
    "clush": (
        lambda hosts: ["clush", "-w", ",".join(hosts), "-f", jobs, "-n", "--options=-F ssh_config", gather], gathered),
    "xargs check_by_ssh": (
        lambda hosts: xargs(hosts, "/usr/lib/nagios/plugins/check_by_ssh", "-H", "@", "-F", "ssh_config", "-t", "60", "-C",
                            gather), gathered),
    "ansible raw": (lambda hosts: [*ansible(hosts), "-m", "raw", "-a", gather], gathered),
    "ansible setup": (
        lambda hosts: [*ansible(hosts), "-m", "setup"], lambda text: text.count('"ansible_memtotal_mb"')),
}
# A minute for 200 hosts, and it says the same: once, and for the fewest.
ONCE = "ansible setup"
OURS = "fleet-collector, warm"
addresses = lambda size: [f"127.0.2.{number}" for number in range(1, size + 1)]


def measured(name, size, watch=False):
    words, answered = (ours(f"ours-{size}"), collected) if name == OURS else (WAYS[name][0](addresses(size)), WAYS[name][1])
    cost, text = run(words, watch)
    if answered(text) != size:
        sys.exit(f"FAILED: {name}: {answered(text)} of {size} hosts answered\n{text[:2000]}")
    cost["cpu"] /= size
    return cost


def trips(near, afar):
    """How much later it is behind the line with latency; TCP's own round trip is not delayed there, and added."""
    runs = [run(afar)[0]["wall"] - run(near)[0]["wall"] for _ in range(3)]
    return 1 + statistics.median(runs) / latency


def say(text):
    print(f"{time.monotonic() - begun:6.0f} s  {text}", file=sys.stderr, flush=True)


begun = time.monotonic()
load = os.getloadavg()[0]
say("round trips")
late = {}
line = lambda number: [*ours("ours-line"), "--host", f"h{number}"]
run(line(201))
late[OURS] = trips(line(201), line(202))
for name, (words, _) in WAYS.items():
    if name != ONCE:
        late[name] = trips(words(["127.0.2.201"]), words(["127.0.2.202"]))
tables = []
for size in sizes:
    # The first sweep ships the probe; nobody is measured by what comes first.
    run(ours(f"ours-{size}"))
    names = [OURS, *(name for name in WAYS if name != ONCE)]
    costs = {name: [] for name in names}
    # Interleaved, so that what else the machine does meets all of them alike.
    for number in range(rounds):
        for name in names:
            costs[name].append(measured(name, size))
        say(f"{size} hosts: round {number + 1} of {rounds}")
    if size == min(sizes):
        costs[ONCE] = [measured(ONCE, size)]
    median = {name: {what: statistics.median(run[what] for run in runs) for what in runs[0]} for name, runs in costs.items()}
    for name in median:
        # Apart from the others: looking costs time.
        median[name]["memory"] = measured(name, size, watch=True)["memory"]
    say(f"{size} hosts: memory")
    mine = median[OURS]
    rows = [f"| {size} hosts, {jobs} at once | client CPU, ms a host | beside ours | wall, s | beside ours "
            "| peak memory, MB | beside ours | round trips a host | beside ours |", "|---|" + "---|" * 8]
    for name, one in median.items():
        cells = [name]
        for what, form in (("cpu", "{:.2f}"), ("wall", "{:.2f}"), ("memory", "{:.0f}")):
            cells += [form.format(one[what]), f"{one[what] / mine[what]:.1f}"]
        cells += [f"{late[name]:.1f}", f"{late[name] / late[OURS]:.2f}"] if name in late else ["not measured", ""]
        rows.append("| " + " | ".join(cells) + " |")
    tables.append("\n".join(rows))
    print(tables[-1] + "\n", flush=True)

text = open("/proc/cpuinfo").read()
model = next((line.split(":")[1].strip() for line in text.splitlines() if line.startswith("model name")), platform.machine())
ram = int(open("/proc/meminfo").readline().split()[1]) / 1048576
first = lambda *words: (lambda d: (d.stdout + d.stderr).strip().splitlines()[0])(
    subprocess.run(words, capture_output=True, text=True))
system = next(line.split("=")[1].strip('"\n') for line in open("/etc/os-release") if line.startswith("PRETTY_NAME"))
packages = subprocess.run(["dpkg-query", "-W", "-f", "${Package} ${Version}, ", "pssh", "pdsh", "clustershell",
                           "monitoring-plugins-standard"], capture_output=True, text=True).stdout
end = "\n\n"
with open(document, "w") as file:
    file.write(f"""# Beside other ways to ask many hosts

Written by `make bench-peers` on {datetime.date.today()}. Machine: {model}, {os.cpu_count()} processors, {ram:.1f} GiB of
memory, {system}, Linux {platform.release()}, {first('ssh', '-V')}. The load average was {load:.1f} before it began: the
nearer to 0, the better the figures. The sshd serves all hosts on the same machine, so wall time is mostly sshd's; what a
client answers for is its own CPU, its memory and its round trips.

{end.join(tables)}

- Medians of {rounds} interleaved rounds; `{ONCE}` is run once. Nearer than 15 % is a tie.
- All log in with one ed25519 key and run one command, which prints the files that our probe reads, and `df`; `{ONCE}`
  gathers what it gathers. Ours also decrypts, checks and stores what came, and its probe measures; the others only print.
- Host keys are verified strictly by all but parallel-ssh, which does not look at them.
- CPU is user and system time of the client with all its children, by wait4. sshd and what it starts are not in it.
- Memory is the peak of all processes of the client together, pages that several share counted once (Pss), looked at every
  20 ms in a run of its own.
- Round trips: how much later a client is with one host behind a line with {latency * 1000:.0f} ms of latency
  (scripts/slow_line.py) than behind the same line without, TCP's own included; median of 3.
- OpenSSH {first('ssh', '-V').split(',')[0].split('_')[1]} spends most of its CPU on its default key exchange, sntrup761; hence the line with curve25519
  forced. Ours negotiates mlkem768x25519 where the server can, and curve25519 here.
- Ansible runs without ControlPersist, as every sweep would find its connections closed.
- {packages}{first(f'{venv}/bin/ansible', '--version')}.
""")
say("done")
