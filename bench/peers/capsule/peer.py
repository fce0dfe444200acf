"""Measures Capsule by its Python package. Prints what it found as JSON; --quick measures less."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from capsule import run

# What the other sides' work comes to as well.
EXPECTED = "135e407a3b524020"
HERE = Path(__file__).resolve().parent
PROGRAM = str(Path(sys.executable).parent / "capsule")
TICKS = os.sysconf("SC_CLK_TCK")
# As in an environment that is activated: Capsule looks for its own package by the `python` that it finds.
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])


def finding(fact, samples=(), text=None):
    found = {"fact": fact, "samples": list(samples)}
    return found | {"text": text} if text else found


def micros(since):
    return (time.perf_counter() - since) * 1e6


def checked(answer):
    assert answer["success"] and answer["result"] == EXPECTED, answer
    return answer


def from_source():
    """From a source file to its result, with nothing that was made before."""
    shutil.rmtree(HERE / ".capsule", ignore_errors=True)
    before = time.perf_counter()
    output = subprocess.run([PROGRAM, "run", "--json", "job.py", "work"], cwd=HERE, capture_output=True, text=True, timeout=600)
    took = micros(before)
    checked(json.loads(output.stdout.strip().splitlines()[-1]))
    return took


async def job(*args, file="job.py"):
    return await run(file=file, args=list(args), cwd=str(HERE), capsule_path=PROGRAM)


async def warm(count):
    """One more by the package's worker, which is a process that stays."""
    samples = []
    for number in range(count + 5):
        before = time.perf_counter()
        checked(await job("work"))
        if number >= 5:
            samples.append(micros(before))
        await asyncio.sleep(0.002)
    return samples


async def refused(fact, *args, file="job.py"):
    """What the caller of a loop without an end is told, and when."""
    before = time.perf_counter()
    try:
        answer = await asyncio.wait_for(job(*args, file=file), timeout=60)
    except asyncio.TimeoutError:
        return finding(fact, text="never (60 s)")
    error = answer["error"] or {"error_type": "success", "message": json.dumps(answer["result"])}
    # Without the frames of the interpreter, where it is one that says them.
    lines = [line.strip() for line in error["message"].splitlines() if line.strip()]
    message = "".join(lines) if len(lines) < 2 else f"{lines[0]} … {lines[-1]}"
    return finding(fact, [micros(before)], f"`{error['error_type']}: {message}`")


def children_cpu():
    """CPU seconds of the processes that this one has started."""
    seconds = 0.0
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
        except (OSError, IndexError):
            continue
        if int(fields[1]) == os.getpid():
            seconds += (int(fields[11]) + int(fields[12])) / TICKS
    return seconds


async def cancelled():
    """Whether a loop whose awaiting was cancelled goes on. It has a second."""
    awaited = asyncio.ensure_future(job("spin"))
    await asyncio.sleep(0.2)
    awaited.cancel()
    before = children_cpu()
    await asyncio.sleep(0.5)
    spent = children_cpu() - before
    went = "the loop goes on" if spent > 0.2 else "the loop stops"
    await asyncio.sleep(1)
    return f"no call for it; when the awaiting is cancelled, {went} ({spent:.1f} s of CPU in the next 0.5 s)"


async def account():
    """What a task is told to have taken that had a child, beside one that had none."""
    alone = checked(await job("work"))["execution"]["fuel_consumed"]
    parent = checked(await job("parent"))["execution"]["fuel_consumed"]
    return f"{alone} units of fuel alone, {parent} with a child that does the same again"


async def runaway_steps():
    # Built before, so that what is seen is the loop's time.
    subprocess.run([PROGRAM, "build", "steps.py"], cwd=HERE, capture_output=True, check=True)
    return await refused("runaway-steps", file="steps.py")


# Each in a process of its own, with a worker of its own: a loop that goes on would take the next one's turn.
PARTS = {
    "first-result": lambda quick: [finding("first-result", [from_source()])],
    "start": lambda quick: [finding("start", asyncio.run(warm(50 if quick else 200)))],
    "cancel-busy": lambda quick: [finding("cancel-busy", text=asyncio.run(cancelled()))],
    "runaway-time": lambda quick: [asyncio.run(refused("runaway-time", "spin"))],
    "runaway-steps": lambda quick: [asyncio.run(runaway_steps())],
    "account": lambda quick: [finding("account", text=asyncio.run(account()))],
}
# Seconds that a part may take.
PATIENCE = 150


def part(name, quick):
    """One part, in a process of its own. What hangs is no finding, and nothing of it stays."""
    command = [sys.executable, __file__, name] + (["--quick"] if quick else [])
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    try:
        said, _ = child.communicate(timeout=PATIENCE)
        return json.loads(said)
    except (subprocess.TimeoutExpired, json.JSONDecodeError) as error:
        print(f"peers: Capsule, {name}: {error!r}", file=sys.stderr)
        return []
    finally:
        try:
            os.killpg(child.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        child.wait()


def measure(quick):
    found = [one for name in PARTS for one in part(name, quick)]
    found.append(finding("call", text="none stays: each run is a start"))
    found.append(finding("reason", text="nothing: there is no cancel"))
    return found


names = [word for word in sys.argv[1:] if word in PARTS]
quick = "--quick" in sys.argv
print(json.dumps(PARTS[names[0]](quick) if names else measure(quick)), flush=True)
if names:
    # The package waits for what its worker does, which may be for ever.
    os._exit(0)
