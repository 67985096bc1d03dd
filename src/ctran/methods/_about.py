"""Where a method comes from, and what is known of how this implementation differs."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class About:
    """Constant ``ABOUT`` of a method's file; ``ctran methods NAME`` prints it.

    Args:
        source: authors, title and venue; of a repository, its name and commit.
        year: of the source.
        needs: what the method takes beside pictures, labels and the backbone's last map.
        differs: where this implementation departs from the source, and why.
        uncertain: details that no source at hand confirmed, with what is done here.
        compared: public code with which forward passes were compared at equal weights, and the largest difference of logits.
    """

    source: str
    year: int
    needs: str = "nothing else"
    differs: str = ""
    uncertain: str = ""
    compared: str = ""

    def __str__(self) -> str:
        lines = {
            "source": f"{self.source} ({self.year})",
            "needs": self.needs,
            "differs": self.differs,
            "uncertain": self.uncertain,
            "compared": self.compared,
        }
        return "\n".join(f"{name + ':':<11}{text}" for name, text in lines.items() if text)
