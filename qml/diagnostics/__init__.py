"""Diagnostics of a quantum layer before it is trained or run on a device; all of them simulate, none submits."""

from qml.diagnostics.diagnosis import Diagnosis, Line, diagnose
from qml.diagnostics.expressibility import Expressibility, expressibility
from qml.diagnostics.fisher import Fisher, fisher
from qml.diagnostics.fourier import Reach, fourier_reach
from qml.diagnostics.gradient_variance import Plateau, Slope, barren_plateau, gradient_variance
from qml.diagnostics.meyer_wallach import meyer_wallach
from qml.diagnostics.shot_noise import ShotNoise, shot_noise

__all__ = [
    "Diagnosis",
    "Expressibility",
    "Fisher",
    "Line",
    "Plateau",
    "Reach",
    "ShotNoise",
    "Slope",
    "barren_plateau",
    "diagnose",
    "expressibility",
    "fisher",
    "fourier_reach",
    "gradient_variance",
    "meyer_wallach",
    "shot_noise",
]
