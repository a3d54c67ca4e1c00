"""Axes to draw in, and text that is shown as it is: never read as mathematics, never hidden by an underscore."""

import numpy as np

LONGEST = 40


def pyplot():
    """matplotlib's pyplot, or an error that names the extra to install."""
    try:
        from matplotlib import pyplot as plt
    except ImportError as error:
        raise ImportError('Drawing needs matplotlib, which is not installed: pip install "sksoft[plot]".') from error
    return plt


def one_axes(ax):
    """`ax`, or those of a new figure."""
    return pyplot().subplots()[1] if ax is None else ax


def panel_axes(ax, n_panels: int) -> list:
    """Axes of `n_panels` panels in a grid that is as square as can be: in a new figure, or in the place of `ax`."""
    n_columns = int(np.ceil(np.sqrt(n_panels)))
    n_rows = -(-n_panels // n_columns)
    if ax is None:
        figure = pyplot().figure(figsize=(2.4 * n_columns + 1, 2.4 * n_rows + 1), layout="constrained")
        grid = figure.add_gridspec(n_rows, n_columns)
    else:
        figure, place = ax.figure, ax.get_subplotspec()
        if place is None:
            raise ValueError("The 'ax' parameter must be a subplot to hold several panels. Got free axes instead.")
        ax.set_axis_off()
        grid = place.subgridspec(n_rows, n_columns)
    return [figure.add_subplot(grid[i // n_columns, i % n_columns]) for i in range(n_panels)]


def shown(label) -> str:
    """A label on one line of at most 40 characters: beginning and end of a longer one."""
    text = " ".join(str(label).split())
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 16]}…{text[-15:]}"


def plain_title(ax, text):
    """Title of a panel."""
    ax.set_title(shown(text), fontsize="medium", parse_math=False)


def plain_legend(ax, handles, texts, **options):
    """Legend of the handles, each with its text; matplotlib would leave out texts that begin with an underscore."""
    texts = [f" {text}" if text.startswith("_") else text for text in texts]
    legend = ax.legend(handles, texts, **options)
    for text in legend.get_texts():
        text.set_parse_math(False)
    return legend


def diagonal(ax):
    """The line of perfect calibration, drawn once in each axes."""
    for line in ax.get_lines():
        if line.get_gid() == "perfectly-calibrated":
            return line
    (line,) = ax.plot([0, 1], [0, 1], "k:", linewidth=1, gid="perfectly-calibrated")
    return line
