"""What Capsule runs: the same work as the other sides' guests, and a loop without an end that has a second."""

from capsule import task


def work() -> str:
    mixed = 88172645463325252
    for _ in range(1000):
        mixed ^= (mixed << 13) & 0xFFFFFFFFFFFFFFFF
        mixed ^= mixed >> 7
        mixed = (mixed * 6364136223846793005 + 1442695) & 0xFFFFFFFFFFFFFFFF
    return f"{mixed:016x}"


@task(name="child", compute="HIGH")
def child() -> str:
    return work()


@task(name="main", compute="HIGH", timeout="1s")
def main(job: str) -> str:
    if job == "spin":
        while True:
            pass
    if job == "parent":
        child()
    return work()
