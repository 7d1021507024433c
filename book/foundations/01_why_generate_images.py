# %% [markdown]
# (ch-why)=
# # 01 Why generate images
#
# **Reading** 20 minutes · **Running** under 60 seconds on one CPU thread · **Difficulty** ●○○ ·
# **You need** a little Python, and curiosity
#
# **Press a button that sets every pixel of a small screen at random. How long until it shows a
# digit?** You can press a billion times a second, and you may begin at the Big Bang. At the end of
# the next section you will know the odds, and why they make image generation interesting.
#
# After this chapter you can
#
# - say how rare meaningful images are, and prove a bound on it;
# - train a generator of digits in ten lines, and look for the two things that samples do not show:
#   what is copied, and what is missing;
# - name the families of image generators, and when each came up;
# - say what generated images are good for, and where each use ends.
#
# ```{admonition} Five questions first
# :class: tip
#
# 1. How many different outcomes have six dice, one after the other?
# 2. If ten numbers add up to at most one, and each is at least 0.2, what is wrong?
# 3. About how large is $e^{10}$?
# 4. What is a uniform distribution?
# 5. Why does one test a model on examples that it was not trained on?
#
# If three of them come easily, read on. The answers follow.
# ```
#
# ```{admonition} Answers
# :class: dropdown
#
# 1. $6^6=46{,}656$. Choices multiply.
# 2. There are too many: at most five numbers can be that large. The proof of {eq}`eq-why-share` is
#    this remark.
# 3. 22,026. Each factor of ten is about $2.3$ in the exponent.
# 4. One in which every outcome has the same probability.
# 5. To tell learning from learning by heart. {ref}`sec-why-failure` does the second on purpose.
# ```

# %%
import math

import torch
from myst_nb import glue

from genlearn import data, models, viz
from genlearn.training import Objective, evaluating, fit

torch.set_num_threads(1)  # models this small are fastest on one thread

# %% [markdown]
# ## The idea in a picture
#
# A small screen: 8×8 pixels, each with 17 levels of grey. Above, it was filled at random. Below are
# digits that people wrote by hand.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Above: sixteen images of eight by eight pixels in random greys, all alike: noise. Below: sixteen handwritten digits of the same size."}, "figure": {"caption": "Above: images drawn uniformly at random. Below: handwritten digits. Both are blocks of 64 numbers from 0 to 16.", "name": "fig-why-noise"}}
written = data.load("digits")
torch.manual_seed(0)
noise = torch.randint(0, 17, (16, 1, 8, 8), dtype=torch.uint8)
viz.grid(
    [noise, written.train.images[:16]],
    17,
    titles=["drawn uniformly at random", "drawn by hand"],
)

# %% [markdown]
# There are $17^{64}$ such images, about $6\cdot10^{78}$: roughly as many as there are atoms in
# the visible universe. Almost all look like the upper row. To **generate images** is to draw from the tiny,
# oddly shaped set of the lower row, when all you have is some members of it.
#
# (sec-why-ten)=
# ## A first result in ten lines
#
# You do not need to understand them yet. Chapter 04 takes this model apart. Here it is a promise:
# data, a model, an optimiser, a few seconds of training, and new digits.

# %% mystnb={"image": {"alt": "Two rows of sixteen new images, most of them recognisable as handwritten digits, somewhat soft, a few of them in between two digits."}, "figure": {"caption": "Thirty-two digits that nobody wrote.", "name": "fig-why-first"}}
digits = data.load("digits")
torch.manual_seed(0)
vae = models.VAE.mlp(digits.shape, digits.levels, pixel_features=4, dropout=0.1)
adam = torch.optim.AdamW(vae.parameters(), lr=2e-3)
bound = Objective("vae", lambda step: -vae.elbo(step.batch[0]).mean(), adam)
batches = data.Batches(digits.train, 128)
fit({"vae": vae}, [bound], batches, steps=800, device="cpu")
with torch.no_grad():
    new = vae.mean_image(vae.prior(32).sample())
viz.grid(new, digits.levels)

# %% [markdown]
# The model is a variational autoencoder. It was shown a thousand digits, for a few
# seconds. (What you see are its *mean* images; chapter 04 says why a full draw looks grainier.)
#
# ### How rare is a digit?
#
# The model does more than draw. It gives every image a probability, and that answers the
# opening question. Take *any* distribution $p$ over images, and collect the images to which it gives
# at least the probability $e^{-h}$. All probabilities add up to one, so there cannot be many:
#
# ```{math}
# :label: eq-why-share
# \begin{aligned}
# 1 &\ge\sum_{x:\,p(x)\ge e^{-h}}p(x)\ge e^{-h}\cdot\#\{x:p(x)\ge e^{-h}\}, \\
# \text{so}\quad e^{h} &\ge \#\{x:p(x)\ge e^{-h}\} .
# \end{aligned}
# ```
#
# If digits that the model *never saw* are among them, then typical digits lie in a set of at most
# $e^h$ images. A uniformly random image of $D$ pixels with $K$ levels hits that set with
#
# $$
# \text{chance}\le\frac{e^{h}}{K^{D}}=e^{\,h-D\log K} .
# $$ (eq-why-chance)
#
# For our screen $D\log K=64\log17\approx181$. The better the model, the smaller an $h$ will do. (This
# is one way to say what a good model is.) What the model computes is a lower bound on $\log p(x)$,
# which only makes us more careful.
#
# ```{admonition} Predict, then run
# :class: tip
# A billion random images a second, since the Big Bang: about $4\cdot10^{26}$ images. Is a typical digit
# among them: surely, perhaps, or hardly?
# ```

# %%
h = 95
torch.manual_seed(0)
with evaluating(vae):
    draws = [vae.elbo(digits.test.images) for _ in range(10)]
log_p_at_least = torch.stack(draws).mean(0)  # a lower bound, one an image
assert (log_p_at_least > -h).float().mean() > 0.55

log_chance = h - 64 * math.log(17)
images_since_big_bang = 1e9 * 4.35e17  # a billion a second
odds = images_since_big_bang * math.exp(log_chance)
assert odds < 2e-11 and log_chance < -37 * math.log(10)
glue("why-chance", "10⁻³⁷", display=False)
print("more than half of the test digits are in a set of e^95 images")
print("chance that a random image is one of them: below 10^-37")
print("chance to have met one since the Big Bang: below 2 in 10^11")

# %% [markdown]
# Hardly. One random image is in that set with a chance below {glue:text}`why-chance`. The ten lines above
# draw digits at every call.
#
# (sec-why-copy)=
# ### Does it only copy?
#
# A fair suspicion. The easiest way to draw convincing digits is to hand out the ones that it was
# shown. So look up, for each new image, the training image that is nearest to it (in squared
# difference of the pixels). For comparison do the same with test images, which are certainly no
# copies.


# %% tags=["hide-input"] mystnb={"image": {"alt": "Above: sixteen new images from the model. Below each: the training image nearest to it. Most pairs show the same digit, but differ in slant, thickness and in single strokes."}, "figure": {"caption": "Above: new images. Below each: the nearest of the thousand training images.", "name": "fig-why-copies"}}
def nearest(images):
    """Distance to the nearest training image, and its index, (N,) each."""
    train = digits.train.images.flatten(1).float()
    closest = torch.cdist(images.flatten(1).float(), train).min(1)
    return closest.values, closest.indices


torch.manual_seed(1)
with torch.no_grad():
    new = vae.mean_image(vae.prior(1000).sample()).round().to(torch.uint8)
distance, index = nearest(new)
to_unseen, _ = nearest(digits.test.images)
viz.grid(
    [new[:16], digits.train.images[index[:16]]],
    digits.levels,
    titles=["new", "nearest training image"],
)

# %%
ratio = (distance.median() / to_unseen.median()).item()
assert 0.9 < ratio < 1.35
assert (distance == 0).sum() == 0
print("of 1,000 new images none is a copy; typically they are about as far")
print("from the training images as digits that the model never saw")

# %% [markdown]
# Neighbours, no copies. We return to this question with a model that *does* copy.
#
# (sec-why-families)=
# ## Three families, and their relatives
#
# The difficulty is always the same: a network must describe a distribution over more images than can
# ever be listed. This book is built around three answers.
#
# - **Variational autoencoders** (chapters 04 to 06) invent a hidden cause, the *code*, and learn to
#   turn codes into images. A second network guesses the code of a given image. Both climb one and the
#   same bound on the likelihood.
#
# ```{erratum} E4
# ```
#
# - **Adversarial networks** (chapters 07 to 10) let a generator turn noise into images, and train it
#   against a discriminator that tries to tell them from real ones. There is no likelihood, only a game.
# - **Autoregressive models** (chapters 11 to 14), such as PixelRNN and PixelCNN, draw one pixel after
#   the other, each given those before. The likelihood is exact, and drawing takes as many steps as
#   there are pixels.
#
# ```{erratum} E29
# ```
#
# **Flows** bend a simple distribution by invertible maps. **Diffusion** models learn to remove noise, a
# little at a time, until an image remains. Chapter 24 derives diffusion from the bound of chapter 04;
# the families are closer relatives than their names suggest.
#
# (sec-why-history)=
# ## How it came about
#
# | year | what | source |
# | --- | --- | --- |
# | 1948 | Text drawn letter by letter, each given those before: a generative model with pencil and a book | {cite:t}`shannon1948` |
# | 1985 | Boltzmann machines learn a distribution over binary patterns | {cite:t}`ackley1985` |
# | 1999 | Texture grown pixel by pixel, by looking up similar surroundings | {cite:t}`efros1999` |
# | 2006 | Deep belief networks generate handwritten digits | {cite:t}`hinton2006` |
# | 2011 | A neural autoregressive model with exact likelihood (NADE) | {cite:t}`larochelle2011` |
# | 2013 | Variational autoencoders; independently {cite:t}`rezende2014` | {cite:t}`kingma2013` |
# | 2014 | Adversarial networks | {cite:t}`goodfellow2014` |
# | 2014 | Flows (NICE) | {cite:t}`dinh2014` |
# | 2015 | Diffusion, as a generative model; convolutional GANs (DCGAN) | {cite:t}`sohldickstein2015`; {cite:t}`radford2015` |
# | 2016 | PixelRNN and PixelCNN | {cite:t}`oord2016` |
# | 2018 | Photorealistic faces (StyleGAN) | {cite:t}`karras2018` |
# | 2020 | Denoising diffusion (DDPM), with samples in the range of GANs | {cite:t}`ho2020` |
# | 2021 | Diffusion passes the best GANs on ImageNet; latent diffusion; text to image with an autoregressive model | {cite:t}`dhariwal2021`; {cite:t}`rombach2021`; {cite:t}`ramesh2021` |
# | 2022 | Flow matching | {cite:t}`lipman2022` |
#
# ```{erratum} E31
# ```
#
# Two remarks on reading such tables. Ideas are older than their names: what made 2013 and 2014
# different was less a new kind of model than a way to train it with networks and gradients. And no
# table says who is *best*. That depends on the year, the data and the measure. "Passes" above means: by the Fréchet
# distance (chapter 16) on ImageNet, in 2021. By exact likelihood, a GAN does not even take part.
#
# (sec-why-uses)=
# ## What it is good for, and where that ends
#
# Most uses do not ask for *some* image. They ask for an image **given** something: its known half, a small
# version, a sketch, a label, a sentence. All of them are conditional distributions
# $p(x\mid\text{given})$, and the same fact bounds them all: **a model fills in what is plausible, not
# what is true**.
#
# | use | given | honest limits | in this book |
# | --- | --- | --- | --- |
# | missing regions, restoration | the rest of the image | shows what might have been there, never what was | ch. 19 |
# | denoising | a noisy image | can smooth away the one thing that mattered | ch. 19 |
# | higher resolution | a small image | its details are invented: a sharpened number plate or face is no evidence | ch. 20 |
# | new styles | a photograph and a painting | "style" is whatever the loss measures; and whose style is it? | ch. 21 |
# | editing, blending, faces | an image, and a wish | people in pictures have rights; fakes deceive | ch. 22, 26 |
# | synthetic training data | a label or a rule | a generator knows no more than its own training data; it helps by what its makers *built in* | ch. 23 |
# | games, virtual and augmented reality | a scene, a viewpoint | textures and backdrops, yes; a world needs 3-D shape that agrees from all sides, and it has milliseconds | surveyed here |
# | video | frames before | every frame may be fine and the film flicker; agreement over time is a task of its own | surveyed here |
# | medicine | a scan of lower dose or other kind | a lesion can be painted in or out; nothing replaces validation on patients | surveyed here |
# | industry | a design, a defect | rare defects can be multiplied for training; a picture of a part does not prove that it holds | surveyed here |
#
# We say *surveyed* where this book only points the way. Each of these fields has safety questions
# that no image model answers by itself.
#
# (sec-why-vision)=
# ## Generation and computer vision
#
# Computer vision goes from images to descriptions. Generation goes from descriptions, or from
# nothing, to images. Each is an inverse of the other in spirit, and neither contains the other: one can count
# cars without being able to paint one, and paint digits without being able to read them.
#
# ```{erratum} E23
# ```
#
# But they help each other. **Generation helps vision** with synthetic examples for classifying,
# detecting and segmenting; with restored and denoised input; and with features that were learned
# without labels. **Vision helps generation** with its architectures, convolutions above all; with
# labels and masks to condition on; and as a judge. Almost every measure of image quality in chapter 16
# looks through the eyes of a classifier.
#
# ### An experiment: what does our model draw?
#
# Let vision judge. The simplest classifier gives an image the label of its nearest training image. On test digits
# we can check how often it is right; on new digits we let it count.
#
# ```{admonition} Predict, then run
# :class: tip
# The training set holds each of the ten digits about equally often. Will the model draw each equally
# often? If not, which will it favour, and which neglect?
# ```

# %%
labels = digits.train.labels
right = labels[nearest(digits.test.images)[1]] == digits.test.labels
assert right.float().mean() > 0.93

shares = labels[index].bincount(minlength=10) / len(index)
in_training = labels.bincount(minlength=10) / len(labels)
assert shares.min() > 0.02 and shares.max() < 0.25
assert shares.max() > 1.25 * shares.min()
assert (in_training - 0.1).abs().max() < 0.01
print("the classifier reads more than 93 % of the test digits")
print("it finds all ten digits among the new ones, each with 2 to 25 %")

# %% tags=["hide-input"] mystnb={"image": {"alt": "Bar chart of the share of each digit from zero to nine among a thousand new images; all ten are there, with shares that scatter around a dashed line at ten percent, some clearly above and some clearly below it."}, "figure": {"caption": "What a nearest-neighbour classifier reads in a thousand new images. Dashed: the share of each digit in the training set, one tenth.", "name": "fig-why-kinds"}}
figure, axes = viz.subplots(height=2.0)
axes.bar(range(10), shares)
axes.axhline(0.1, ls="--", lw=1, color="black")
axes.set(xlabel="digit", ylabel="share of new images", xticks=range(10))
figure

# %% [markdown]
# Nothing is missing, and not all is fair. You would not have seen it from a few samples. And mind the
# judge: what the classifier misreads, it miscounts, and half-way images get a label too.
#
# (sec-why-failure)=
# ## A failure, made on purpose
#
# Here is a generator whose samples are better than those of the VAE. It draws a training image and
# replaces each pixel, with probability one in two hundred, by a random level. That is all. Like the VAE
# it is a distribution over all images, and its probabilities can be computed: with $s=1/200$, the
# mean over all training images $x_n$ of
# $\prod_i\bigl[(1-s)\,\mathbb{1}(x_i=x_{n,i})+s/17\bigr]$.
#
# ```{admonition} Predict, then run
# :class: tip
# A model that knows nothing pays $64\log17\approx181$ nats for any image. The VAE pays less than 95
# for a typical test digit. And the copier: for a training image? For a test image?
# ```

# %%
share = 1 / 200
torch.manual_seed(0)
picked = digits.train.images[torch.randint(len(digits.train), (1000,))]
replaced = torch.rand(picked.shape) < share
copies = torch.where(replaced, torch.randint_like(picked, 17), picked)


def copier_nats(images):
    """-log p(x) of the copier, exactly, nats per image, (N,)."""
    train = digits.train.images.flatten(1)
    same = (images.flatten(1)[:, None] == train).sum(2).double()  # of 64
    stays, changed = math.log(1 - share + share / 17), math.log(share / 17)
    log_joint = same * stays + (64 - same) * changed
    return math.log(len(train)) - log_joint.logsumexp(1)


on_training = copier_nats(digits.train.images).mean().item()
on_test = copier_nats(digits.test.images).mean().item()
knows_nothing = 64 * math.log(17)
assert on_training < 8 and on_test > knows_nothing + 10
assert (nearest(copies)[0] == 0).float().mean() > 0.6
glue("why-copier-train", f"{math.ceil(on_training)}", display=False)
print(f"knows nothing  {knows_nothing:.0f} nats for any image")
print(
    f"copier         {on_training:.1f} on training, {on_test:.1f} on test images"
)
print("VAE            below 95 on a typical test image")

# %% [markdown]
# For a training image the copier pays less than {glue:text}`why-copier-train` nats, little more than the
# $\log1000$ that it costs to name one of a thousand. For a test image it pays more than the
# model that knows nothing: it is sure, and wrong. And its samples?

# %% tags=["hide-input"] mystnb={"image": {"alt": "Two rows of sixteen crisp handwritten digits, a few with a single stray pixel: samples of the copier."}, "figure": {"caption": "Thirty-two samples of the copier. Would you have noticed?", "name": "fig-why-copier"}}
viz.grid(copies[:32], digits.levels)

# %% [markdown]
# ```{admonition} Symptom, diagnosis, cure
# :class: warning
#
# **Symptom.** Samples are flawless, better than those of any other model you tried. On training images
# the likelihood is superb. On unseen images it is worse than that of a model which knows nothing.
#
# **Diagnosis.** The model stores its training images and hands them out. Samples cannot show it,
# because copies of good images are good images.
#
# **Cure.** Measure on images that were never shown: likelihood where there is one. And show beside
# each sample the nearest training image, with the distance that *unseen* images have for comparison.
# ```
#
# This is no toy trouble. Large models have been made to give back photographs from their training
# sets, nearly pixel by pixel {cite:p}`carlini2023`; chapter 26 returns to it. Keep the rule: **samples show what a
# model can do. They do not show what it cannot, and not where it got it from.**
#
# ## A walk between two digits
#
# One last thing before you go on. Take two digits and walk from one to the other in eleven steps. The upper
# row mixes their *pixels*. The lower row mixes their *codes*, the hidden causes that the VAE found
# for them, and decodes each. (The slider works without a kernel; the frames are part of the page.)

# %%
assert labels[:10].tolist() == list(range(10))  # the first ten images
pairs = [(0, 1), (3, 8), (4, 9), (6, 0), (2, 7)]
weights = torch.linspace(0, 1, 11).view(-1, 1)


def walk(first, second):
    """Two rows of eleven images: pixels mixed, and codes mixed."""
    ends = digits.train.images[[first, second]]
    with evaluating(vae):
        start, stop = vae.posterior(ends).mean
        codes = start + weights * (stop - start)
        decoded = vae.mean_image(codes)
    mixed = ends[0] + weights.view(-1, 1, 1, 1) * (
        ends[1].float() - ends[0].float()
    )
    return viz.tile(torch.cat([mixed, decoded]), digits.levels, columns=11)


viz.slider(
    [walk(*pair) for pair in pairs],
    [f"from {a} to {b}: pixels above, codes below" for a, b in pairs],
    "digits",
)

# %% [markdown]
# Above, the middle is a double exposure, which nobody ever wrote. Below, the middle is a *written
# thing*, more or less: strokes bend and move. The model has no idea what a stroke is. It has learned where the images are,
# and the path stays near them.
#
# ```{admonition} What this chapter leaves out
# :class: note
# There is no model from scratch here, and so no cell in which it agrees with the library's: that is
# the business of {ref}`ch-learn` and {ref}`ch-vae`. The only derivation is {eq}`eq-why-share`.
# ```
#
# ## Exercises
#
# ```{exercise} A larger screen
# :label: ex-why-larger
# A colour photograph of 32×32 pixels with 256 levels has $D\log K\approx17{,}035$ nats. Good models need
# about 3 bits for each of its 3,072 values. Bound the chance that a random image is a typical
# photograph.
# ```
#
# ````{solution} ex-why-larger
# :class: dropdown
# $h=3072\cdot3\log2\approx6388$ nats, so by {eq}`eq-why-chance` the chance is at most
# $e^{6388-17035}=e^{-10647}\approx10^{-4624}$. (Of a model that needs 3 bits *on average*, about half
# of the photographs need no more.)
# ````
#
# ```{exercise} A better copier
# :label: ex-why-copier
# Raise the copier's `share` to 0.1, 0.3, 0.5. Which is best on test images? Choose it honestly: on
# which images may you choose, and on which report?
# ```
#
# ````{solution} ex-why-copier
# :class: dropdown
# Choose on `digits.valid`, report once on `digits.test`. With more noise the copier becomes a
# *kernel density estimate*, an old and honest model. Its likelihood improves a lot and stays well
# behind the VAE's, and its samples are then visibly noisy. It cannot have both.
# ````
#
# ```{exercise} More lines, better digits?
# :label: ex-why-steps
# Train the ten-line model for 200 and for 5,000 steps. Look at samples, at `distance.median()`, and at the mean
# of `log_p_at_least`. Which of the three tells you when to stop?
# ```
#
# ````{solution} ex-why-steps
# :class: dropdown
# Samples get sharper for a long time, and the eye is pleased. The bound on unseen images rises, then
# falls again as the model begins to learn its thousand images by heart. Stop there; and to
# choose the moment, use validation images, not test images. {numref}`fig-vae-overfitting` shows the curves.
# ````
#
# ```{exercise} Your own use
# :label: ex-why-use
# Take one row of the table of uses. Write down exactly what is *given*, what is drawn, and one way in which a
# plausible but untrue result would do harm. How would you notice?
# ```
#
# ````{solution} ex-why-use
# :class: dropdown
# There is no single answer. A good one names a *measurement*. For denoised scans, for example: experts
# mark lesions in clean images, the images get artificial noise, the model removes it, other experts
# mark again. Count what vanished and what appeared. Pictures that look good are not the measure.
# ````
#
# ## Summary
#
# - Meaningful images are unimaginably rare: a model which gives unseen digits the probability $e^{-h}$
#   proves that they are at most $e^h$ among $K^D$ {eq}`eq-why-share`.
# - Ten lines load data, build a model, train it and draw. What matters comes after: is it copying, is
#   something missing?
# - VAEs, GANs and autoregressive models are three ways to describe a distribution that cannot be
#   listed. Which is "best" depends on year, data and measure.
# - Generated images are plausible, not true. That bounds every use.
#
# Next: {ref}`ch-images` says what an image is, {ref}`ch-learn` what it means to learn a distribution.
#
# ## Further reading
#
# {cite:t}`shannon1948` is still a pleasure; the generated text stands in its third section.
# {cite:t}`theis2016` explain why samples, likelihood and usefulness are three different things.
# {cite:t}`tomczak2022` treats the families in one book, on the same digits.
