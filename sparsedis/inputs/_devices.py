"""Devices of torch that users name."""

import torch


def read_device(name):
    """Device of a parameter `device`.

    Parameters
    ----------
    name : str or torch.device
        "auto": a CUDA device if there is one, otherwise the CPU.

    Returns
    -------
    torch.device

    Raises
    ------
    ValueError
        When this machine does not have the device.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (AssertionError, RuntimeError) as error:
        # Torch's messages may be very long.
        reason = str(error).partition("\n")[0]
        raise ValueError(
            "device must be 'auto', or a device of torch that this machine has, such "
            f"as 'cpu'; got {name!r}: {reason}"
        ) from error
    return device


def read_exact_device(name):
    """The same for computations in float64, which not every device has."""
    device = read_device(name)
    if device.type in ("mps", "meta"):
        raise ValueError(
            f"device must have float64, such as 'cpu' or 'cuda'; got {name!r}."
        )
    return device
