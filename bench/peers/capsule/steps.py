"""A loop without an end that has no time but the least of Capsule's amounts of steps."""

from capsule import task


@task(name="main", compute="LOW")
def main() -> str:
    while True:
        pass
