"""Pack a trained run as an offline Kaggle notebook with its weights; with push=true, push it and run it there.

./run.sh bundle name=NAME competition=SLUG     an offline Kaggle notebook with its weights; push=true runs it there
"""

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from competition.core.errors import UserError
from competition.core.files import read_json, write_json
from competition.core.options import parse
from competition.core.paths import home, shown
from competition.core.settings import Config
from competition.inference.run_inputs import run_settings
from competition.inference.run_record import Record, read_record
from competition.kaggle.client.account import Account, find_account
from competition.kaggle.client.api import Kaggle
from competition.kaggle.client.slugs import slug_in
from competition.kaggle.datasets import upload_dataset
from competition.kaggle.kernels import push_kernel, version_of, wait_kernel
from competition.kaggle.notebook.bundle import DATASET, KERNEL, PUSHED, Bundle, bundle_of, make_bundle
from competition.kaggle.submission.cards import cards

SESSION_SECONDS = 9 * 3600.0  # what code competitions give a notebook
QUEUE_SECONDS = 3 * 3600.0  # the longest wait for a machine
STANDING = ("queued", "running", "complete")


@dataclass(frozen=True)
class BundleOptions:
    """What is packed, and for which notebook."""

    name: str = "demo"  # the run's name
    out: str = ""  # the bundle's folder; default: submissions/NAME/bundle
    competition: str = ""  # Kaggle's name of the competition, or its address; default: the run's
    owner: str = ""  # whose notebook it is on Kaggle; default: the user of this machine's credentials
    push: bool = False  # send it to Kaggle and have it run there
    internet: bool = False  # the notebook may use the network, which code competitions do not allow
    accelerator: str = "NvidiaTeslaT4"  # in Kaggle's words; none = no GPU


def main(words: Sequence[str]) -> None:
    """Write the bundle that ``words`` ask for, push it where they say so, and print what comes next."""
    options = parse(words, BundleOptions)
    record = read_record(options.name)
    config = run_settings(record)
    if record.outside:
        without = " ".join(f"predictions.{name}=" for name in record.outside)
        raise UserError(
            f"A notebook cannot run {' and '.join(record.outside)}, whose predictions were read from files: leave them "
            f"out first, with ./run.sh ensemble name={options.name} {without}"
        )
    account = find_account() if options.push else None  # before anything is written
    bundle = _bundle_for(options, config)
    new = make_bundle(bundle, record, config)
    _print_bundle(bundle, record, new)
    if account:
        _push(bundle, account)
        line = f"Submit      ./run.sh {shlex.join(['submit', *_submitted(bundle, options.name)])}"
    else:
        kept = [word for word in words if not word.startswith("push=")]
        line = f"Push        ./run.sh {shlex.join(['bundle', *kept, 'push=true'])}"
    print(line)


def _submitted(bundle: Bundle, name: str) -> list[str]:
    """Return the words that submit what the kernel wrote, with the run's card where it has one."""
    made = any(csv.parent.name == name for csv, _ in cards(home() / "submissions"))
    return [f"kernel={bundle.kernel}", *([f"name={name}"] if made else []), f"competition={bundle.competition}"]


def _bundle_for(options: BundleOptions, config: Config) -> Bundle:
    competition = slug_in(options.competition) or config.competition
    if not competition:
        raise UserError(
            f"The run '{options.name}' is of no competition that Kaggle knows, and the notebook needs "
            "its test set: say competition=SLUG, as in its address."
        )
    owner = options.owner or _username()
    for key, word in (("competition", competition), ("owner", owner), ("accelerator", options.accelerator)):
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", word):
            raise UserError(f"{key}={word} is not a name on Kaggle: use letters, digits and '-' alone.")
    default = home() / "submissions" / options.name / "bundle"
    folder = Path(options.out).expanduser().resolve() if options.out else default
    more = {"competition": competition, "accelerator": options.accelerator, "internet": options.internet}
    return bundle_of(options.name, owner, folder, **more)


def _username() -> str:
    """Return the user's name on Kaggle; UserError where it is unknown without owner=."""
    try:
        account = find_account()
    except UserError as error:
        raise UserError(f"The bundle needs an owner on Kaggle: say owner=USER. ({error})") from error
    return account.username or Kaggle(account).username


def _print_bundle(bundle: Bundle, record: Record, new: bool) -> None:
    sizes = bundle.sizes()
    wheels = [Path(name).stem.removesuffix("-py3-none-any") for name in sizes if name.endswith(".whl")]
    data = sum(size for name, size in sizes.items() if name.startswith(DATASET))
    print(f"Bundle      {shown(bundle.folder)}, {sum(sizes.values()) / 1e6:,.1f} MB" + ("" if new else " (unchanged)"))
    print(
        f"  {DATASET}   {bundle.dataset}, {data / 1e6:,.1f} MB: {sum(map(len, record.members.values()))} models, "
        f"{', '.join(wheels)}"
    )
    machine = "a CPU" if bundle.accelerator == "none" else bundle.accelerator
    network = "with" if bundle.internet else "without"
    print(f"  {KERNEL}    {bundle.kernel}: a notebook for {bundle.competition} on {machine}, {network} internet")


def _push(bundle: Bundle, account: Account) -> None:
    """Have Kaggle hold the data set and run the notebook to its end; what stands there already is not sent again."""
    for warning in account.warnings:
        print(f"  Warning: {warning}")
    kaggle, note = Kaggle(account), bundle.folder / PUSHED
    with tqdm(bar_format="  {desc}", disable=None) as bar:
        version = upload_dataset(kaggle, bundle.folder / DATASET, bar.set_description_str)
        tqdm.write(f"  data set {bundle.dataset} is on Kaggle, version {version}")
        earlier = read_json(note) or {}
        stands = earlier == {"dataset": version, "kernel": version_of(kaggle, bundle.kernel)}
        if not stands or kaggle.kernel_status(bundle.kernel)[0] not in STANDING:
            pushed = push_kernel(kaggle, bundle.folder / KERNEL, bundle.accelerator, SESSION_SECONDS)
            earlier = {"dataset": version, "kernel": pushed}
            write_json(note, earlier)
        tqdm.write(f"  kernel {bundle.kernel} is on Kaggle, version {earlier['kernel']}")

        def on_progress(state: str, seconds: float) -> None:
            bar.set_description_str(f"kernel {bundle.kernel}: {state}, {seconds / 60:.0f} min")

        wait_kernel(kaggle, bundle.kernel, earlier["kernel"], SESSION_SECONDS + QUEUE_SECONDS, on_progress)
    print(f"  kernel {bundle.kernel} has run: https://www.kaggle.com/code/{bundle.kernel}")
