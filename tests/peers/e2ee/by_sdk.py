"""How is matrix-sdk driven, the Rust library of which Element X is made? One process holds every such device.

https://docs.rs/matrix-sdk/0.18.0/
"""

from e2ee.driven import Driven
from server import REPOSITORY

# `make test-peers` builds it from the folder `driver`.
COMMAND = [str(REPOSITORY / "target/peers/debug/tombolo-peers-driver")]


class SdkDevice(Driven):
    """A device of matrix-sdk, which never waits for long. It cannot leave a dehydrated device, and tells nobody whom it sends keys."""

    manner = {"slides": False}


class SlidingDevice(SdkDevice):
    """The same as Element X has it: it slides over its rooms."""

    manner = {"slides": True}
