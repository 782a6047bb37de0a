"""A small AWS on loopback to try things on: IAM and STS with real signatures, clocks and faults.

with Sandbox.create(users=100).running() as box:
    subprocess.run([...], env=os.environ | box.environment())
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from birthright.sandbox.sandbox import Sandbox, SandboxCredentials, SandboxOptions

__all__ = ["Sandbox", "SandboxCredentials", "SandboxOptions"]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever the name stands for
    """Import the server only when it is wanted, so that the command line starts at once."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from birthright.sandbox import sandbox

    return getattr(sandbox, name)
