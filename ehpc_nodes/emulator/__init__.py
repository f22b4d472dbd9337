"""An emulator of the part of E-HPC (2018-04-12) and ECS (2014-05-26) that attaching nodes needs.

For tests and demonstrations: a second reading of the API's pages, without shared code with the rest of the package.
`Emulator` answers calls in process, `EmulatorServer` over HTTP on a loopback port; a `World` has
everything that exists. On the command line: ``python -m ehpc_nodes.emulator --port 0 --world FILE``.
"""

from .answers import Answer, ApiError, Dropped
from .clock import ManualClock, SystemClock
from .codec import WorldError
from .server import EmulatorServer
from .service import Emulator
from .world import World

__all__ = [
    "Answer",
    "ApiError",
    "Dropped",
    "Emulator",
    "EmulatorServer",
    "ManualClock",
    "SystemClock",
    "World",
    "WorldError",
]
