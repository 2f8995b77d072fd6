"""Demonstration: the first program asks the ERP, and two things that go wrong on the first day."""

from lineside.workshop.stage import Stage, perform


def play(stage: Stage) -> None:
    """Play the chapter "Setup"."""
    stage.step("Start an ERP to try things against")
    erp = stage.erp()
    stage.say(
        f"The workshop's ERP answers at {erp.url}, as Frappe would. For yourself, start it with `lineside workshop erp`."
    )

    stage.step("The first program")
    good = finished(stage, erp.url, erp.environ)
    stage.notice("It went on after it had asked. The answer came later, as the value of a Deferred.")
    stage.check("the ERP knows who asks", "you are Administrator" in good)

    stage.step("The key is missing")
    keyless = finished(stage, erp.url, {"FRAPPE_KEY": "", "FRAPPE_SECRET": ""})
    stage.check("the program says what to set", "set FRAPPE_KEY and FRAPPE_SECRET" in keyless)

    stage.step("The ERP is not running")
    erp.stop()
    away = finished(stage, erp.url, erp.environ)
    stage.notice("An error comes back as an exception at the `await`, just where a result would have come.")
    stage.check("the program says that nobody answers", "nobody answers at" in away)


def finished(stage: Stage, url: str, environ: dict[str, str]) -> str:
    """Run the first program to its end, and return what it printed."""
    program = stage.example("--frappe", url, file="first.py", environ=environ)
    program.wait()
    return program.output


if __name__ == "__main__":
    perform(play)
