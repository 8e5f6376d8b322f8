"""The table of ECG databases. Adding one is adding an entry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from heartzoo.errors import look_up


@dataclass(frozen=True)
class Database:
    """A database of WFDB records.

    Attributes:
        name: PhysioNet's name, the first folder of its file tree.
        version: PhysioNet's version, the second folder.
        title: full name.
        license: name of the data licence.
        citation: how to cite it.
        fs: sampling rate in Hz.
        leads: leads to use, most preferred first; the first that a record has is taken.
        records: record names, as paths inside the version folder.
        extensions: file name endings of one record.
        same_person: record -> patient, where a patient has more than one record.
    """

    name: str
    version: str
    title: str
    license: str
    citation: str
    fs: int
    leads: tuple[str, ...]
    records: tuple[str, ...]
    extensions: tuple[str, ...] = ("hea", "dat", "atr")
    same_person: Mapping[str, str] = field(default_factory=dict)

    @property
    def annotated(self) -> bool:
        """Whether its records have beat annotations (``.atr``)."""
        return "atr" in self.extensions

    def patient(self, record: str) -> str:
        """The person a record comes from: several records of one person share an id."""
        if self.name == ICENTIA:
            return record.rsplit("/", 1)[-1].split("_")[0]
        return self.same_person.get(record, record)


ICENTIA = "icentia11k-continuous-ecg"
HEARTBEAT_CSV = "heartbeat-csv"
_GOLDBERGER = (
    "Goldberger AL et al. PhysioBank, PhysioToolkit, and PhysioNet. Circulation 101(23):e215-e220, 2000. "
    "doi:10.1161/01.CIR.101.23.e215"
)
_MITDB_RECORDS = (
    "100 101 102 103 104 105 106 107 108 109 111 112 113 114 115 116 117 118 119 121 122 123 124 200 201 202 203 "
    "205 207 208 209 210 212 213 214 215 217 219 220 221 222 223 228 230 231 232 233 234"
)

DATABASES: dict[str, Database] = {
    database.name: database
    for database in (
        Database(
            name="mitdb",
            version="1.0.0",
            title="MIT-BIH Arrhythmia Database",
            license="ODC-By 1.0",
            citation="Moody GB, Mark RG. The impact of the MIT-BIH Arrhythmia Database. IEEE Eng in Med and Biol "
            f"20(3):45-50, 2001. doi:10.13026/C2F305. {_GOLDBERGER}",
            fs=360,
            leads=("MLII", "V5"),
            records=tuple(_MITDB_RECORDS.split()),
            same_person={"202": "201"},
        ),
        Database(
            name="svdb",
            version="1.0.0",
            title="MIT-BIH Supraventricular Arrhythmia Database",
            license="ODC-By 1.0",
            citation="Greenwald SD, Patil RS, Mark RG. Improved detection and classification of arrhythmias in "
            "noise-corrupted electrocardiograms using contextual information. Computers in Cardiology, 1990. "
            f"doi:10.13026/C2V30W. {_GOLDBERGER}",
            fs=128,
            leads=("ECG1",),
            records=tuple(str(n) for block in (range(800, 813), range(820, 830), range(840, 895)) for n in block),
        ),
        Database(
            name="nstdb",
            version="1.0.0",
            title="MIT-BIH Noise Stress Test Database",
            license="ODC-By 1.0",
            citation="Moody GB, Muldrow WE, Mark RG. A noise stress test for arrhythmia detectors. Computers in "
            f"Cardiology 11:381-384, 1984. doi:10.13026/C2HS3T. {_GOLDBERGER}",
            fs=360,
            leads=("noise1",),
            records=("bw", "em", "ma"),
            extensions=("hea", "dat"),
        ),
        Database(
            name=ICENTIA,
            version="1.0",
            title="Icentia11k Single Lead Continuous Raw Electrocardiogram Dataset",
            license="CC BY-NC-SA 4.0",
            citation="Tan S et al. Icentia11K: An Unsupervised Representation Learning Dataset for Arrhythmia Subtype "
            f"Discovery. arXiv:1910.09570, 2019. doi:10.13026/kk0v-r952. {_GOLDBERGER}",
            fs=250,
            leads=("ecg",),
            # 11,000 patients of about 50 segments: too many to list; records are named on the command line.
            records=(),
        ),
        Database(
            name=HEARTBEAT_CSV,
            version="1",
            title="187-sample beats of mitdb, as CSV files that you have",
            license="that of mitdb, ODC-By 1.0",
            citation="Kachuee M, Fazeli S, Sarrafzadeh M. ECG Heartbeat Classification: A Deep Transferable "
            "Representation. IEEE ICHI 2018. doi:10.1109/ICHI.2018.00092",
            fs=125,
            leads=("MLII",),
            records=("mitbih_train", "mitbih_test"),
            extensions=("csv",),
        ),
        Database(
            name="synthetic",
            version="1",
            title="heartzoo's own synthetic recordings",
            license="Apache-2.0",
            citation="heartzoo, data/synthetic",
            fs=250,
            leads=("MLII",),
            records=tuple(f"syn{n:02d}" for n in range(32)),
        ),
    )
}


def get_database(name: str) -> Database:
    """Look a database up.

    Raises:
        UserError: there is none of that name; the nearest is named.
    """
    return look_up(DATABASES, name, "database")
