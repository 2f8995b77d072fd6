"""Employees to check in, made on demand."""

from __future__ import annotations

from lineside.standin.records import Records


def seed_employees(records: Records, number: int, user: str) -> None:
    """See to it that a site has at least ``number`` employees.

    In a new file they are HR-EMP-00001 and on, each with its number as attendance device id.
    """
    for place in range(records.count("Employee", {}) + 1, number + 1):
        records.insert(
            "Employee",
            {
                "first_name": "Employee",
                "last_name": f"{place:05}",
                "gender": "Prefer not to say",
                "date_of_birth": "1990-01-01",
                "date_of_joining": "2020-01-01",
                "company": "Stand-in Works",
                "attendance_device_id": f"{place:05}",
            },
            user,
        )
