"""Order of the examples on their page."""

_ORDER = (
    "molecular_properties",
    "mixed_table",
    "sparse_heads",
    "word_emotions",
    "sparse_rotation",
    "precomputed_features",
    "few_shot_omniglot",
    "sparse_svm",
    "shapes3d",
    "figure_1",
    "n_components",
    "choose_alpha",
    "task_supports",
    "lasso_layer",
    "dask",
)


class RealProblemsFirst:
    """Sort key: real tables, features and images, then the paper, then how-tos.

    Parameters
    ----------
    folder : str
        Folder of the examples.
    """

    def __init__(self, folder):
        self.folder = folder

    def __call__(self, name):
        """Return the position of a script."""
        return _ORDER.index(name.removeprefix("plot_").removesuffix(".py"))
