"""The words of ``docs/experiments/labelling.md``; tables take the places in braces."""

PAGE = """# How many clicks a folder costs

Written by `python -m benchmarks.labelling`; raw figures in [labelling.json](labelling.json).

A simulated annotator labels the 3,273 training pictures of the clip-art library with its 96 labels (7,566 of them present),
from zero, with a model that is fitted again on the way. Nothing of `val` or `test` is used.

![Clicks against labelled pictures, and F1 of the folder against clicks](labelling.png)

## What was asked

{asked}

Shares of the means over the seeds that each system has: {seeds}. Three each were planned; the machine was shared, and what
was not finished is left out. The last column compares the grid with the grid.

**Missed**: every label set right. Each picture is confirmed with one click, 3,273 in all, whatever the model predicts:
these alone are 0.30 of no model and 0.44 of the linear head, so that corrections would have to be 0.64 of the linear head's
to reach 0.80. They are about 0.8 of them. Confirming many pictures at once (the grid) takes most of these clicks away. The
pilot behind the targets had 8,001 clicks for the linear head, by other code; it is stronger here.

**To be read with care**: *least sure first* makes the linear head worse than random order does, so the last target is the
easier one. Of the linear head in random order, ours takes {of_random} of the clicks to 95 %.

## Every label set right

{clicks}

**A click** is one label set to present or absent, or one picture confirmed. The annotator opens a picture, sees the labels
that the model predicts (probability of one half or more), sets wrong ones right, and confirms. Without a model nothing is
predicted: each label that the picture has is a click. **Corrections** are the clicks without those that confirm. **Grid**:
24 pictures on one screen with the labels that are predicted of each; a wrong label is a click, and one click confirms the
whole screen.

* *no model*: an empty folder, as in any annotation tool.
* *linear head*: a logistic regression on the same image features as ours (penalty by cross-validation); it ignores known
  labels.
* *ours*: what `ctran studio` learns, the recipe `quick` (method `pairwise` on similarities to labelled pictures). Labels of
  a picture that the annotator has set are known labels: they change the prediction of its other labels at once, before the
  next correction.
* *least sure first*, *teaches most first*: orders of the studio's *Next picture*, by the library's own formulas.

The first 50 pictures are labelled without a model, and a model is fitted to all labelled ones after 50, 100, 200, 400, 800
and 1,600 pictures; a fit at 3,200 would serve 73 pictures and is left out for all.

Corrections a picture while each model was in use:

{models}

With a fit after each 41 % more pictures (50, 71, 100, 141, ...), of seeds that both have:

{rhythm}

## The folder to a given F1

Clicks until micro-F1 over all labels of all pictures reaches a level for good. Confirmed pictures are right; others take
the prediction at one threshold, that of the greatest F1 that the model itself expects of the folder. No truth of an
unconfirmed picture is used.

{levels}

## What the annotator sets right first

{habits}

The figures above assume that the annotator first adds what the prediction lacks (in random order), then removes what is
wrong. A label that is added says more of the others than one that is removed. Going down the list instead, wrong ones are
removed first, and that can be worse than a prediction that does not change: in a pilot (another seed, random order) 500
pictures took after 1,600 labelled ones 0.83 corrections each what is missing first, 1.02 down the list, 1.00 if none
changed the prediction, and 1.10 with the linear head. `--habit top` measures it on the whole folder. Thresholds of 0.4 and
0.6, keeping what was shown unless it changes much, and taking labels that are left alone for right made no difference in
that pilot (0.83 to 0.86).

## How long a click takes

{wall}

[The studio's page](../studio.md) has an earlier measurement: 32 ms in the median, 96 ms in 95 of 100 cases
while a model trained.

## What the simulation assumes

* The annotator makes no mistake, sees every wrong label, and uses no label that is not among the 96.
* All 96 labels exist from the start.
* One click confirms a picture as it is predicted, as the studio's *All right* (`c`) does. Its *Others absent* (`x`) takes only
  the labels that were ticked, so labels that are predicted right cost a click each there.
* The grid of this page is not the studio's. That shows one label at a time, most probable first, and sets the chosen
  pictures; to confirm every entry label by label takes {screens} screens of 24, more clicks than labelling without a model.
  The grid that is counted here shows whole label sets, which the studio does not offer.
* A model is in use from the picture on after which it is fitted. In the studio fits run in the background, and *Learn by
  itself* fits after each fifth that is added, more often than here.
* *Teaches most* compares all pictures; the studio draws 2,000 where there are more.
* Seeds differ in the order of the pictures, the folds of the fits and the order in which missing labels are added. *Teaches
  most* draws no order, so its seeds differ in the last two only.
* Looking is not counted: reading a right prediction costs nothing here.
"""
