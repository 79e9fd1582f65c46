"""What `./run.sh help` prints. It needs Python alone, so that it comes before any set-up."""

from pathlib import Path

PRESETS = Path(__file__).parents[1] / "presets"

USAGE = """\
./run.sh [command] [key=value ...]     no command: train what is missing and write submissions/submission.csv

  ./run.sh fold=0..4                       the main job: the embedded demo, or the competition in data/
  ./run.sh preset=wai2025 fold=0..4        a preset: {presets}
  ./run.sh data=FOLDER name=mine fold=0..4 members.swin.lr=1e-4
  ./run.sh fold=0                          one fold: its score, and the line that completes the submission
  ./run.sh download [competition=SLUG]     a competition's files from Kaggle (default: preset wai2025's)
  ./run.sh ensemble ...                    blend and tune again from what is trained
  ./run.sh ensemble names=a,b,c            blend finished runs over the same folds
  ./run.sh report [name=NAME]              the evaluation report of what is trained
  ./run.sh predict name=NAME IMAGE ...     a trained run's verdict on images and folders (format=table|csv|json)
  ./run.sh predict name=NAME test=FOLDER   the submission of a test set's folder (out=FILE)
  ./run.sh app name=NAME                   the same as a web page on this machine
  ./run.sh export name=NAME                the members as ONNX; then predict engine=onnx
  ./run.sh bundle name=NAME competition=SLUG     an offline Kaggle notebook with its weights; push=true runs it there
  ./run.sh collect urls=FILE label=ai out=DIR    download images into a class folder (or page=ADDRESS)
  ./run.sh config ...                      print the resolved settings
  ./run.sh audit ...                       what is wrong with the data: shortcuts, leaks, copies, broken files
  ./run.sh submit [file=CSV]               check, show, upload once and follow it: message= competition= yes=true
  ./run.sh submit kernel=OWNER/SLUG        the output of a notebook, for a code competition
  ./run.sh ledger                          every submission: CV beside the leaderboard, and which of them to trust
  ./run.sh bench [name ...]                measure speed on this machine
  ./run.sh test                            run the tests"""


def preset_names() -> list[str]:
    """Return the names of the presets that come with the package."""
    return sorted(path.stem for path in PRESETS.glob("*.yaml"))


def usage() -> str:
    """Return the lines that there are, with what each does."""
    return USAGE.format(presets=", ".join(preset_names()))


if __name__ == "__main__":
    print(usage())
