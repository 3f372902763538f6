"""What a vehicle emits on a metre of street at a mean speed, by classes of HBEFA 4.

Computed with the HBEFA 4 model of SUMO 1.28 (class ``HelpersHBEFA4``, coefficients of the Handbook Emission Factors for
Road Transport 4.1) over urban driving cycles: see ``curves.py``, which prints this table again.
"""

import numpy as np

from civium.practices.travel_time.network import Floats

SPEEDS_KMH = (5.0, 10.0, 15.0, 20.0, 25.0, 30.0, 40.0, 50.0, 70.0, 90.0, 110.0, 130.0)
POLLUTANTS = ("CO2", "NOx", "PMx")
CLASSES = {  # class of HBEFA 4 and its share of the vehicle kilometres: an assumption, to be replaced by a town's own
    "PC_petrol_Euro-6ab": 0.52,
    "PC_diesel_Euro-6ab": 0.33,
    "LCV_diesel_N1-III_Euro-6ab": 0.08,
    "RT_gt7_5-12t_Euro-VI_A-C": 0.05,
    "UBus_Std_gt15-18t_Euro-VI_A-C": 0.02,
}
MILLIGRAMS: dict[tuple[str, str], tuple[float, ...]] = {  # a metre, at SPEEDS_KMH
    ("PC_petrol_Euro-6ab", "CO2"): (1067, 562, 394, 309, 259, 225, 189, 136, 124, 130, 146, 172),
    ("PC_petrol_Euro-6ab", "NOx"): (
        0.327,
        0.172,
        0.12,
        0.094,
        0.0784,
        0.068,
        0.0563,
        0.0391,
        0.0317,
        0.0288,
        0.0282,
        0.0291,
    ),
    ("PC_petrol_Euro-6ab", "PMx"): (
        0.0333,
        0.0289,
        0.0274,
        0.0266,
        0.0262,
        0.0259,
        0.0251,
        0.0278,
        0.028,
        0.0283,
        0.0286,
        0.0291,
    ),
    ("PC_diesel_Euro-6ab", "CO2"): (994, 544, 394, 319, 274, 244, 214, 152, 142, 148, 164, 187),
    ("PC_diesel_Euro-6ab", "NOx"): (2.65, 1.38, 0.959, 0.747, 0.62, 0.535, 0.446, 0.353, 0.378, 0.465, 0.595, 0.763),
    ("PC_diesel_Euro-6ab", "PMx"): (
        0.0287,
        0.0267,
        0.026,
        0.0256,
        0.0254,
        0.0253,
        0.0248,
        0.0274,
        0.0278,
        0.0282,
        0.0287,
        0.0293,
    ),
    ("LCV_diesel_N1-III_Euro-6ab", "CO2"): (1505, 809, 577, 461, 391, 345, 298, 213, 214, 245, 296, 364),
    ("LCV_diesel_N1-III_Euro-6ab", "NOx"): (
        2.57,
        1.37,
        0.973,
        0.773,
        0.653,
        0.574,
        0.497,
        0.362,
        0.413,
        0.531,
        0.698,
        0.909,
    ),
    ("LCV_diesel_N1-III_Euro-6ab", "PMx"): (
        0.032,
        0.0284,
        0.0272,
        0.0266,
        0.0262,
        0.026,
        0.0254,
        0.028,
        0.0285,
        0.0291,
        0.0298,
        0.0306,
    ),
    ("RT_gt7_5-12t_Euro-VI_A-C", "CO2"): (724, 724, 724, 724, 724, 724, 748, 524, 533, 542, 549, 558),
    ("RT_gt7_5-12t_Euro-VI_A-C", "NOx"): (
        1.71,
        0.883,
        0.606,
        0.467,
        0.384,
        0.329,
        0.259,
        0.257,
        0.237,
        0.237,
        0.246,
        0.261,
    ),
    ("RT_gt7_5-12t_Euro-VI_A-C", "PMx"): (
        1.05,
        0.526,
        0.35,
        0.262,
        0.209,
        0.174,
        0.129,
        0.129,
        0.123,
        0.137,
        0.165,
        0.203,
    ),
    ("UBus_Std_gt15-18t_Euro-VI_A-C", "CO2"): (2917, 1925, 1595, 1430, 1331, 1265, 1217, 827, 763, 724, 696, 676),
    ("UBus_Std_gt15-18t_Euro-VI_A-C", "NOx"): (
        3.15,
        1.61,
        1.09,
        0.833,
        0.678,
        0.575,
        0.452,
        0.427,
        0.454,
        0.555,
        0.709,
        0.908,
    ),
    ("UBus_Std_gt15-18t_Euro-VI_A-C", "PMx"): (
        1.07,
        0.535,
        0.358,
        0.27,
        0.217,
        0.181,
        0.137,
        0.137,
        0.137,
        0.16,
        0.198,
        0.249,
    ),
}


def grams_per_metre(pollutant: str, speed: Floats) -> Floats:
    """Emitted by the mean vehicle of the fleet [g/m] at mean speeds [m/s]; NaN where the speed is NaN.

    Between the speeds of the table it is linear; below the lowest it grows as the time on the metre does.
    """
    kmh = np.asarray(speed, dtype=np.float64) * 3.6
    fleet = sum(share * np.array(MILLIGRAMS[name, pollutant]) for name, share in CLASSES.items())
    value: Floats = np.interp(kmh, SPEEDS_KMH, fleet) / 1000.0
    return np.where(kmh < SPEEDS_KMH[0], value * SPEEDS_KMH[0] / np.maximum(kmh, 0.5), value)
