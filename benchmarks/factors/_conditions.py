"""The conditions: the main part, the hard, and those where nothing can be found."""

from benchmarks.factors._generate import Condition

# The fields by their column in the tables below.
_FIELDS = {
    "k": "n_factors",
    "rho": "rho",
    "marginal": "marginal",
    "mixing": "mixing",
    "d": "n_features",
    "T": "n_tasks",
    "support": "support",
    "coef": "coefficients",
    "n": "n_samples",
    "missing": "missing",
    "noise": "noise",
    "units": "units",
}

# Far apart from each other, with every value, and every pair of values, about equally
# often, except: what is hard by itself and stands apart below; supports of all factors;
# less than five tasks a factor, or five labels a factor in a task; a mixing that is not
# linear from less than 25 rows a factor. Coefficients of +-1 on small supports leave a
# few without a single answer, which `identified` finds.
_MAIN = """
name  k rho marginal mixing      d   T support coef        n missing noise units
c01   3   0 heavy    linear      8  30      .5 laplace  5000      .8   .05 decades
c02   3   0 mixture  mlp         8 100      .2 positive 2000      .5    .3 equal
c03   3   0 gaussian linear      6  50       2 positive 1000       0    .3 decades
c04   3  .5 uniform  polynomial  6 200       2 signs    2000       0   .05 equal
c05   3  .9 uniform  polynomial  6  30      .2 gaussian  300      .5    .1 decades
c06   3  .9 gaussian mlp         6 200      .2 signs    5000      .8    .1 equal
c07   3  .9 gaussian mlp         3  30      .5 gaussian  300      .8    .3 decades
c08   4   0 uniform  linear      8  30       3 positive 1000      .5   .05 equal
c09   4   0 heavy    polynomial  8 300       3 signs     500      .5    .1 decades
c10   4   0 mixture  mlp         9  30       2 signs    5000       0    .1 equal
c11   4  .5 gaussian linear      9  30       2 gaussian  300      .5    .1 decades
c12   4  .5 gaussian polynomial  9  50      .2 laplace  1000      .8   .05 decades
c13   4  .9 mixture  polynomial  4  30      .5 positive 2000       0   .05 decades
c14   4  .9 heavy    linear      8  50      .2 signs     300       0    .3 equal
c15   6   0 mixture  polynomial 11 200       3 laplace   300       0   .05 decades
c16   6   0 uniform  linear     12 200      .5 gaussian  500      .8    .3 decades
c17   6  .5 mixture  mlp        12  30       3 positive  300      .8    .1 equal
c18   6  .5 heavy    polynomial  6  30      .2 laplace  1000      .5    .3 equal
c19   6  .5 mixture  linear      6  50      .2 signs    1000      .5    .1 decades
c20   6  .9 heavy    mlp        12  30       2 laplace  2000      .5   .05 equal
c21   6  .9 uniform  linear     11  50       3 signs    2000       0    .1 decades
c22   8   0 uniform  mlp         8  50      .5 gaussian  300      .5   .05 equal
c23   8   0 heavy    polynomial  8  50       3 positive 2000      .8    .1 decades
c24   8   0 mixture  linear      8 300      .2 signs     300       0   .05 equal
c25   8  .5 gaussian polynomial 16 300      .5 laplace   500       0    .1 equal
c26   8  .9 heavy    linear     13 200      .2 positive  500      .8   .05 decades
c27   8  .9 gaussian mlp         8 100       3 laplace   300       0    .3 decades
c28   8  .9 uniform  polynomial 13 100       2 signs    5000      .8    .3 equal
c29  12   0 gaussian polynomial 24 100      .2 gaussian 2000      .8   .05 equal
c30  12   0 mixture  polynomial 24  50       2 signs    5000      .5    .3 decades
c31  12  .5 heavy    linear     12 200       2 gaussian 5000       0    .3 equal
c32  12  .5 heavy    mlp        17  50       2 gaussian  500      .8   .05 equal
c33  12  .5 heavy    mlp        24 300      .2 positive 1000       0   .05 decades
c34  12  .9 mixture  mlp        12 200       2 laplace   500      .5    .1 decades
c35  12  .9 uniform  mlp        17  50      .5 laplace  1000       0    .1 equal
c36  16   0 heavy    polynomial 16 100       3 gaussian 5000       0    .1 equal
c37  16  .5 mixture  linear     32 100      .5 laplace   500      .8    .3 equal
c38  16  .5 uniform  polynomial 16 100       2 positive  500       0    .1 decades
c39  16  .5 gaussian mlp        21 200       3 positive 5000      .5    .3 decades
c40  16  .9 uniform  linear     16 300       2 gaussian 1000      .8   .05 decades
c41  16  .9 gaussian linear     21 300      .5 positive  300      .5    .3 equal
c42  16  .9 mixture  polynomial 21 300       3 gaussian 1000      .8    .3 equal
c43  20   0 uniform  mlp        25 300      .2 laplace   500       0    .3 decades
c44  20   0 gaussian polynomial 20 200      .5 positive 1000      .8    .1 equal
c45  20  .5 heavy    linear     25 100      .5 laplace  2000      .5    .1 equal
c46  20  .5 mixture  mlp        40 100      .5 gaussian 5000      .5   .05 decades
c47  20  .5 uniform  mlp        20 300       3 signs    2000      .8    .3 decades
c48  20  .9 gaussian linear     20 100       3 signs     500      .5   .05 equal
"""

# Thirty tasks for 12 and 20 factors; +-1 with p = .5; nine labels of ten missing.
_HARD = """
name  k rho marginal mixing      d   T support coef        n missing noise units
h01  12   0 gaussian linear     12  30      .2 gaussian 2000       0   .05 equal
h02  12  .5 uniform  mlp        17  30      .5 gaussian 1000       0    .1 decades
h03  12  .9 heavy    polynomial 12  30       3 positive 2000       0    .1 equal
h04  20   0 mixture  linear     25  30      .2 gaussian 2000       0   .05 equal
h05  20  .5 gaussian mlp        20  30       3 signs    2000       0    .1 equal
h06  20  .9 gaussian linear     20  30      .5 laplace  5000       0    .1 decades
h07   6   0 gaussian linear      6 100      .5 signs    1000       0    .1 equal
h08  12  .5 gaussian mlp        17 300      .5 signs    2000       0    .1 equal
h09  12  .9 uniform  polynomial 12 300      .5 signs    2000      .5    .1 decades
h10  20   0 heavy    linear     25 300      .5 signs    2000       0   .05 equal
h11   5  .9 gaussian mlp        10 100      .5 gaussian  500      .9    .1 decades
h12   8  .5 mixture  linear     13 300      .5 laplace   300      .9    .3 equal
h13  12  .5 uniform  polynomial 12 200       3 gaussian 3000      .9    .1 equal
h14  20   0 gaussian linear     25 300      .2 positive 1000      .9   .05 equal
"""

# Every task depends on every factor: no direction is better than another.
_DENSE = """
name  k rho marginal mixing      d   T support coef        n missing noise units
d01   5   0 gaussian linear      5 100       1 gaussian 1000       0    .1 equal
d02   8  .5 uniform  mlp        13 200       1 gaussian 2000       0    .1 decades
d03  12  .9 gaussian linear     12 300       1 gaussian 2000       0    .1 equal
"""


def _read(table):
    """Conditions by name, from a table of text."""
    columns, *rows = [line.split() for line in table.strip().splitlines()]
    conditions = {}
    for name, *values in rows:
        fields = {
            _FIELDS[column]: _value(text)
            for column, text in zip(columns[1:], values, strict=True)
        }
        conditions[name] = Condition(**fields)
    return conditions


def _value(text):
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return text


MAIN, HARD, DENSE = _read(_MAIN), _read(_HARD), _read(_DENSE)
PARTS = {"main": MAIN, "hard": HARD, "dense": DENSE}
