"""Whether Kaggle will take a submission just now, before anything is uploaded."""

import datetime
import shlex
import sys

from kagglesdk.competitions.types.competition_api_service import ApiCompetition, ApiSubmissionLimits

from competition.core.errors import Unfinished, UserError
from competition.kaggle.client.account import find_account
from competition.kaggle.client.api import Kaggle, accepted_rules
from competition.kaggle.client.retry import KaggleRefusal


def connect(patience: float) -> Kaggle:
    """Return Kaggle for the user's credentials, after warnings about them; ``patience`` in seconds for one question."""
    account = find_account()
    for warning in account.warnings:
        print(f"Warning: {warning}.", file=sys.stderr)
    return Kaggle(account, patience)


def admit(kaggle: Kaggle, slug: str, by_kernel: bool, name: str) -> ApiCompetition:
    """Return the competition, if it takes submissions of this user and kind; UserError says why not. ``name`` is the
    run that the submission is of, "" where it is of none."""
    found = accepted_rules(kaggle, slug)
    if found.submissions_disabled:
        raise UserError(f"Competition {slug} takes no submissions (any more, or yet): see its page on kaggle.com.")
    if found.is_kernels_submissions_only and not by_kernel:
        run = f"name={shlex.quote(name or 'NAME')}"
        raise UserError(
            f"Competition {slug} takes no files, only what a notebook writes: ./run.sh bundle {run} "
            f"push=true competition={slug} makes one, and says the line that submits it."
        )
    return found


def room(kaggle: Kaggle, slug: str) -> str:
    """Return how many submissions are left today, in words, "" where Kaggle does not say; UserError where none is."""
    try:
        limits = kaggle.limits(slug)
    except KaggleRefusal:
        return ""
    if not (limits.num_allowed_now or limits.num_today or limits.num_total):
        return ""  # Kaggle counts nothing before the first submission
    if limits.num_allowed_now == 0:
        raise UserError(_none_left(limits, slug))
    return f"{limits.num_allowed_now} more today"


def _none_left(limits: ApiSubmissionLimits, slug: str) -> str:
    if limits.limited_by_total:
        return (
            f"You have made {limits.num_total} submissions to {slug}, which is all that it allows: choose the "
            "final two of them (./run.sh ledger)."
        )
    now = datetime.datetime.now(datetime.UTC)
    left = 24 * 60 - (60 * now.hour + now.minute)
    return (
        f"You have made {limits.num_today} submissions to {slug} today and it allows no more: Kaggle's day ends at "
        f"00:00 UTC, in {left // 60} h {left % 60} min; repeat the same line then."
    )


def kernel_version(kaggle: Kaggle, ref: str, version: int | None) -> tuple[int, bool, list[str]]:
    """Return which version of a kernel is to be submitted, the current one where ``version`` is None, whether it is
    the current one, and the competitions that the current one is attached to.

    Raises UserError and Unfinished where it has no output yet, or never will.
    """
    found = kaggle.kernel(ref)
    if found is None:
        raise UserError(f"There is no kernel {ref} on Kaggle that you can see: name it as OWNER/SLUG.")
    current = found.current_version_number
    version = current if version is None else version
    if version > current:
        raise UserError(f"version={version} of kernel {ref} is not there: the current one is {current}.")
    if version == current:  # Kaggle shows the state of no other
        state, why = kaggle.kernel_status(ref)
        if state in ("queued", "running", "new_script"):
            raise Unfinished(f"Kernel {ref} is {state} and has no output yet: repeat the same line when it has ended.")
        if state != "complete":
            raise UserError(
                f"Kernel {ref} ended with '{state}' ({why or 'its log says why'}), so there is nothing to "
                "submit: correct it and push it again."
            )
    return version, version == current, list(found.competition_data_sources or [])
