"""What is wrong with the data before a model sees it: leaks, shortcuts, twins and broken files.

``audit`` looks, ``write_audit`` and ``audit_lines`` say what it found, ``merged_groups`` makes folds that cannot leak.
"""

from competition.audit.examine import DEPTHS, audit, linked
from competition.audit.findings import LEVELS, Audit, Finding, Separation
from competition.audit.groups import merged_groups
from competition.audit.write import REPORT, audit_lines, write_audit

__all__ = [
    "DEPTHS",
    "LEVELS",
    "REPORT",
    "Audit",
    "Finding",
    "Separation",
    "audit",
    "audit_lines",
    "linked",
    "merged_groups",
    "write_audit",
]
