"""The page of the study of attention follows from its figures."""

from benchmarks import attention


def test_the_page_has_means_spreads_and_paired_differences():
    rows = {"full": {"0": [50.0, 60.0, 70.0], "1": [52.0, 62.0, 72.0]}, "latent": {"1": [51.5, 61.0, 72.5]}}
    text = attention.page({"openclipart": rows})
    assert "| full | 51.0 ± 1.4 | 61.0 ± 1.4 | 71.0 ± 1.4 | 2 | +0.0 ± 0.0" in text
    assert "| latent | 51.5 ± 0.0 | 61.0 ± 0.0 | 72.5 ± 0.0 | 1 | -0.5 ± 0.0 | -1.0 ± 0.0 | +0.5 ± 0.0 |" in text
    assert "Not run yet." in text
