"""A term of four students, to be bent: its files as texts, written, changed and read."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from studentsuccess.batching.input_problems import Code, Problem
from studentsuccess.batching.inputs import InputRequest, Read, read_instance
from studentsuccess.batching.instance import Instance
from studentsuccess.core.deadletters import DeadLetters

FILES = {
    "student_data.csv": """\
student_id,student_name,program_id,academic_year,preferred_shift,preferred_languages,enrolled_courses,score
S3,"Jo ""Ace"", Jr.",P1,2024,morning,"{en,de}","[""C2"",""C1""]",61.5
S1,"Ng
An",P1,2024,Evening,en;fr,C1;C3,70
S2,李,P2,2023,,{},"{C1,C2}",
S4,O'Neil,P2,2023,evening,"[""en""]",C3,55
""",
    "programs.csv": "program_id,program_name,department_id\nP1,Law,D1\nP2,Art,D2\n",
    "courses.csv": """course_id,course_name,credits,weekly_hours,prerequisites,department_id
C1,Logic,4,2,,
C2,Proof,4,3,,D2
C3,Rhetoric,2.5,2,[],
""",
    "rooms.csv": "room_id,capacity,room_type,shifts\nR2,40,lab,morning;evening\nR1,60,lecture,\n",
    "shifts.csv": "shift_id,shift_name,start,end\nmorning,Early,08:00,12:00\nevening,Late,18:00,21:30\n",
}
FACULTY = "faculty_id,department_id,max_hours_per_week,shifts\nF1,D1,18,\nF2,D2,12,{morning}\n"
RULES = "parameter_code,entity_type,field_name,rule_type,constraint_level,weight,threshold\n"
HISTORY = "student_id,course_id,passed\n"


@dataclass
class Small:
    """The files in a folder. What a change wants to replace must be there once."""

    folder: Path
    files: dict[str, str] = field(default_factory=lambda: dict(FILES))

    def change(self, file: str, old: str, new: str) -> Small:
        assert self.files[file].count(old) == 1, (file, old)
        self.files[file] = self.files[file].replace(old, new)
        return self

    def add(self, file: str, text: str) -> Small:
        self.files[file] = self.files.get(file, "") + text
        return self

    def rules(self, *rows: str) -> Small:
        return self.add("dynamic_parameters.csv", RULES + "".join(f"{row}\n" for row in rows))

    def without(self, *files: str) -> Small:
        for file in files:
            del self.files[file]
        return self

    def write(self) -> Path:
        self.folder.mkdir(parents=True, exist_ok=True)
        for name, text in self.files.items():
            (self.folder / name).write_bytes(text.encode())
        return self.folder

    def read(self, **asked: Any) -> Read:
        """What the program makes of it."""
        self.write()
        return self.read_as_is(**asked)

    def read_as_is(self, **asked: Any) -> Read:
        """The folder as it stands on the disk."""
        return read_instance(self.folder, InputRequest(**asked))

    def read_leniently(self, **asked: Any) -> Read:
        """The same without the bad rows, which go to files beside the folder."""

        def letters(name: str) -> DeadLetters:
            path = self.folder.parent / f"dlq-{name}.csv"
            return DeadLetters(path, path)

        return self.read(lenient=True, letters=letters, **asked)

    def instance(self, **asked: Any) -> Instance:
        return self.read(**asked).expect()


def of_code(read: Read, code: Code) -> list[Problem]:
    return [problem for problem in read.problems if problem.code == code]


def only(read: Read, code: Code) -> Problem:
    """The one problem of a code; errors of another are none of the test's."""
    found = of_code(read, code)
    assert len(found) == 1, [problem.text for problem in read.problems]
    strange = [problem.text for problem in read.errors if problem.code != code]
    assert not strange
    return found[0]
