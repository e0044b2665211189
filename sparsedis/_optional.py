"""Optional packages, imported where they are needed."""

from importlib import import_module


def import_optional(module, user):
    """Import an optional dependency.

    Parameters
    ----------
    module : str
        Name of the module.

    user : str
        Name of the function, class or method that needs it, for the error message.

    Returns
    -------
    module
        The module.

    Raises
    ------
    ImportError
        When it is not installed, with the way to install it.

    Examples
    --------
    >>> from sparsedis._optional import import_optional
    >>> import_optional("math", "area").pi
    3.14...
    """
    try:
        return import_module(module)
    except ImportError as error:
        package = "pillow" if module == "PIL.Image" else module
        raise ImportError(f"{user} needs {package}: pip install {package}.") from error
