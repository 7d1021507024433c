"""Move initial weights by about one part in a million, as a stand-in for other hardware.

IPython runs this file when a kernel starts whose IPYTHONDIR is the folder `ipython` above. Training
amplifies such a difference much as it amplifies another order of summation; what a chapter prints
must survive both.
"""


def _perturb_initial_weights():
    import torch

    init = torch.optim.Optimizer.__init__

    def perturbing_init(self, params, defaults):
        init(self, params, defaults)
        # Seeded anew for each optimiser: like hardware, it treats two equal models alike. The
        # notebook's own random numbers stay as they were.
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for group in self.param_groups:
                for weights in group["params"]:
                    noise = torch.randn(weights.shape, generator=generator)
                    weights.mul_(1 + 1e-6 * noise.to(weights))

    torch.optim.Optimizer.__init__ = perturbing_init


_perturb_initial_weights()
del _perturb_initial_weights
