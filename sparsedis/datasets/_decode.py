"""From image files to one array of 8-bit images."""

import warnings
from io import BytesIO

import numpy as np

from sparsedis._optional import import_optional
from sparsedis._warn import warn

from ._checks import check_count, check_option

# Formats that Pillow may open: some others start programs.
_FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
# EXIF tag of the camera's orientation, and the transformation that undoes it.
_ORIENTATION = 0x0112
_UPRIGHT = {
    2: "FLIP_LEFT_RIGHT",
    3: "ROTATE_180",
    4: "FLIP_TOP_BOTTOM",
    5: "TRANSPOSE",
    6: "ROTATE_270",
    7: "TRANSVERSE",
    8: "ROTATE_90",
}
ON_ERROR = ("raise", "skip")
# Files that a message names; a Bunch lists them all.
_N_NAMED = 20


def decode_images(names, read, *, user, path, image_size, color, on_error):
    """Read images into one preallocated array.

    Photographs are rotated upright if their EXIF data holds an orientation.

    Parameters
    ----------
    names : list of str
        Names of the files.

    read : callable
        From a name to the bytes of its file.

    user : str
        Name of the loader, for error messages.

    path : path-like
        The folder or zip file that the files are in, for error messages.

    image_size : int, pair of int or None
        Height and width to resize to; None keeps the size, which all must share.

    color : bool
        Whether to keep the colours.

    on_error : {"raise", "skip"}
        Handling of files that cannot be read.

    Returns
    -------
    data : ndarray of shape (n, height, width, 3 or 1), uint8
        The images that could be read.

    kept : list of int
        Their positions in `names`.

    skipped : list of str
        The files that could not, each with the reason.

    Raises
    ------
    ValueError
        When no file can be read, or some cannot and `on_error` is "raise", or sizes
        differ and `image_size` is None.

    Warns
    -----
    UserWarning
        When files are skipped.
    """
    check_option(on_error, "on_error", ON_ERROR)
    size = check_image_size(image_size)
    pillow = import_optional("PIL.Image", user)
    data, kept, unequal, skipped = None, [], [], []
    for position, name in enumerate(names):
        try:
            image = _decode(pillow, read(name), size, color)
        except Exception as error:  # damaged files raise nearly anything
            skipped.append(f"{name}: {_reason(error)}")
            continue
        if data is None:
            data = _allocate(len(names), image.shape, user)
        if image.shape == data.shape[1:]:
            data[len(kept)] = image
            kept.append(position)
        else:
            unequal.append(f"{name}: {image.shape[0]} x {image.shape[1]}")
    if skipped and on_error == "raise":
        raise ValueError(
            f"{user} could not read {len(skipped)} of {len(names)} files in {path} "
            f"(on_error='skip' would leave them out):{_listed(skipped)}"
        )
    if not kept:
        raise ValueError(f"{user} could not read any file in {path}:{_listed(skipped)}")
    if unequal:
        raise ValueError(
            f"{user} found images of unequal size: pass image_size to resize them. "
            f"{names[kept[0]]} has {data.shape[1]} x {data.shape[2]} pixels, unlike "
            f"{len(unequal)} others:{_listed(unequal)}"
        )
    if skipped:
        warn(
            f"{user} skipped {len(skipped)} of {len(names)} files in {path}, which it "
            f"could not read:{_listed(skipped)}",
            UserWarning,
        )
    return data[: len(kept)], kept, skipped


def check_image_size(image_size):
    """Read the height and width from an `image_size` argument.

    Parameters
    ----------
    image_size : int, pair of int or None
        Side of a square, or height and width.

    Returns
    -------
    tuple of int or None
        Height and width.

    Raises
    ------
    ValueError
        When it is something else.
    """
    if image_size is None:
        return None
    sides = image_size if isinstance(image_size, (tuple, list)) else [image_size] * 2
    if len(sides) != 2:
        raise ValueError(
            "image_size must be an integer, a pair (height, width) or None, got "
            f"{image_size!r}."
        )
    return tuple(check_count(side, "image_size") for side in sides)


def resize(pillow, image, size):
    """Resize a Pillow image, averaging where it shrinks.

    Parameters
    ----------
    pillow : module
        The module ``PIL.Image``.

    image : PIL.Image.Image
        The image.

    size : tuple of int or None
        Height and width, None to keep them.

    Returns
    -------
    PIL.Image.Image
        The image, of that size.
    """
    if size is None or size == (image.height, image.width):
        return image
    return image.resize((size[1], size[0]), pillow.Resampling.BILINEAR)


def _decode(pillow, content, size, color):
    with pillow.open(BytesIO(content), formats=_FORMATS) as image:
        if image.mode[0] in "IF":
            # Pillow would clip the values instead of scaling them.
            raise ValueError(f"has mode {image.mode!r}, and only 8 bits are read")
        image = _upright(pillow, image)
        if image.has_transparency_data:
            image = image.convert("RGBA")
            paper = pillow.new("RGBA", image.size, "white")
            paper.alpha_composite(image)
            image = paper
        image = resize(pillow, image.convert("RGB" if color else "L"), size)
        return np.asarray(image).reshape(image.height, image.width, -1)


def _upright(pillow, image):
    image.load()  # some formats are turned here already
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of damaged EXIF data
            orientation = image.getexif().get(_ORIENTATION)
    except Exception:  # the pixels are good
        return image
    if orientation not in _UPRIGHT:
        return image
    return image.transpose(pillow.Transpose[_UPRIGHT[orientation]])


def _allocate(n, shape, user):
    try:
        return np.empty((n, *shape), dtype=np.uint8)
    except (MemoryError, ValueError):
        raise ValueError(
            f"{user} found {n} images, the first of {shape[0]} x {shape[1]} pixels, "
            "which do not fit in memory: pass a smaller image_size."
        ) from None


def _reason(error):
    return str(error) or type(error).__name__


def _listed(lines):
    more = len(lines) - _N_NAMED
    tail = [f"... and {more} more."] if more > 0 else []
    return "".join(f"\n  {line}" for line in lines[:_N_NAMED] + tail)
