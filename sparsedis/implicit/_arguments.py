"""Checks and conversions of single arguments of the layers."""

from numbers import Integral

import numpy as np
import torch


def as_tensor(value, name, wanted="a tensor"):
    """Convert a number, an array or a list to a tensor.

    Parameters
    ----------
    value : object
    name : str
        Name of the argument, for the error message.
    wanted : str, default="a tensor"
        What it must be, for the error message.

    Returns
    -------
    tensor
    """
    if not isinstance(value, torch.Tensor):
        try:
            # torch supports neither negative strides nor all of numpy's dtypes.
            value = torch.from_numpy(np.array(value))
        except (TypeError, ValueError, RuntimeError):
            raise ValueError(f"{name} must be {wanted}, got {value!r:.100}.") from None
    check_stored(value, name)
    return value


def check_stored(value, name):
    """Refuse tensors that are sparse or have no values."""
    if value.layout != torch.strided or value.device.type == "meta":
        raise ValueError(
            f"{name} must be a dense tensor with values, got layout {value.layout} on "
            f"device {value.device}."
        )


def as_real(value, name):
    """Tensor of real numbers; None is returned as it is."""
    if value is None:
        return None
    value = as_tensor(value, name)
    if value.is_complex():
        raise ValueError(f"{name} must be real, got {value.dtype}.")
    return value


def read_mask(mask):
    """Mask as a tensor of bool; None is returned as it is."""
    mask = as_real(mask, "mask")
    if mask is None or mask.dtype == torch.bool:
        return mask
    known = (mask == 0) | (mask == 1)
    if not bool(known.all()):
        raise ValueError(
            "mask must be boolean, or hold only 0 and 1; got "
            f"{float(mask[~known][0]):g}."
        )
    return mask == 1


def read_weight(batch_shape, n_samples, dtype, mask, sample_weight, device):
    """Weights of the samples, zero outside of the mask.

    Parameters
    ----------
    batch_shape : tuple
    n_samples : int
    dtype : torch.dtype
    mask : tensor of shape (..., n_samples) of bool, or None
    sample_weight : tensor of shape (..., n_samples), or None
    device : torch.device

    Returns
    -------
    tensor of shape (n_tasks, n_samples), or None
        None if there is neither a mask nor a weight.
    """
    weight = None
    if mask is not None:
        weight = mask.to(device=device, dtype=dtype)
    if sample_weight is not None:
        sample_weight = sample_weight.detach().to(device=device, dtype=dtype)
        good = torch.isfinite(sample_weight) & (sample_weight >= 0)
        if not bool(good.all()):
            raise ValueError(
                "sample_weight must be finite and not negative, got "
                f"{float(sample_weight[~good][0]):g}."
            )
        weight = sample_weight if weight is None else weight * sample_weight
    if weight is None:
        return None
    return weight.expand(*batch_shape, n_samples).reshape(-1, n_samples)


def read_labels(tasks, n_classes):
    """Labels of the tasks as int64, and the number of classes, at least 2."""
    if tasks.y.is_complex():
        raise ValueError(f"y must hold whole numbers, got {tasks.y.dtype}.")
    labels = tasks.y.to(torch.long)
    if bool((labels != tasks.y).any()):
        raise ValueError("y must hold whole numbers, the labels of the classes.")
    if n_classes is None:
        n_classes = max(2, int(labels.max()) + 1)
    elif not isinstance(n_classes, Integral) or n_classes < 2:
        raise ValueError(f"n_classes must be an int of at least 2, got {n_classes!r}.")
    bad = ((labels < 0) | (labels >= n_classes)).any(-1)
    if bool(bad.any()):
        t = int(bad.nonzero()[0])
        where = f" of task {t}" if tasks.batch_shape else ""
        low, high = (int(bound) for bound in labels[t].aminmax())
        raise ValueError(
            f"y must hold labels from 0 to {n_classes - 1}; got labels{where} from "
            f"{low} to {high}."
        )
    return labels, n_classes
