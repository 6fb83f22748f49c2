"""Optimisers: from a gradient g to a step of the parameter w. eta is the learning rate.

    SGD        w <- w - eta g
    momentum   u <- mu u + g,   w <- w - eta u                   u from 0; steps in one direction add up
    Nesterov   u <- mu u + g,   w <- w - eta (g + mu u)          as in torch: w is one step of u ahead, where g is taken
    Adam       m <- b1 m + (1 - b1) g,   v <- b2 v + (1 - b2) g^2
               w <- w - eta (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + eps)
               t counts from 1; m and v start from 0, and the divisors make up for it

Sources: Sutskever et al. 2013, section 2; Kingma & Ba 2015, algorithm 1. As in torch, momentum's g is not weighted by
1 - mu, so the steps grow up to 1 / (1 - mu) times.
"""

import math
from collections.abc import Sequence

import numpy as np

from glasswork.scratch.tape import Value


class SGD:
    """Stochastic gradient descent, with momentum if `momentum` is above 0."""

    def __init__(self, parameters: Sequence[Value], momentum: float = 0.0, nesterov: bool = False) -> None:
        self.parameters, self.momentum, self.nesterov = parameters, momentum, nesterov
        self.velocities = [np.zeros(p.shape) for p in parameters]

    def step(self, learning_rate: float) -> None:
        """One step of every parameter against its gradient, which is then forgotten."""
        for place, p in enumerate(self.parameters):
            velocity = self.velocities[place] = self.momentum * self.velocities[place] + p.grad
            p.data = p.data - learning_rate * (p.grad + self.momentum * velocity if self.nesterov else velocity)
            p.grad = np.zeros(())


class Adam:
    """Steps of about the learning rate in every coordinate, however large its gradients are."""

    def __init__(self, parameters: Sequence[Value], b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8) -> None:
        self.parameters, self.b1, self.b2, self.eps = parameters, b1, b2, eps
        self.t, self.moments = 0, [(np.zeros(p.shape), np.zeros(p.shape)) for p in parameters]

    def step(self, learning_rate: float) -> None:
        """One step of every parameter against its gradient, which is then forgotten."""
        self.t += 1
        for place, p in enumerate(self.parameters):
            m, v = self.moments[place]
            m, v = self.b1 * m + (1 - self.b1) * p.grad, self.b2 * v + (1 - self.b2) * p.grad**2
            self.moments[place] = m, v
            m_hat, v_hat = m / (1 - self.b1**self.t), v / (1 - self.b2**self.t)
            p.data = p.data - learning_rate * m_hat / (np.sqrt(v_hat) + self.eps)
            p.grad = np.zeros(())


def one_cycle(step: int, steps: int, rise: float = 0.3, start: float = 1 / 25, end: float = 1 / 25e4) -> float:
    """The share of the highest learning rate at a step counted from 0: up half a cosine wave, then down another.

    Smith & Topin 2018, with the shape and numbers of torch's `OneCycleLR`.
    """
    top, last = rise * steps - 1, steps - 1
    rising = step <= top
    begin, goal, progress = (start, 1.0, step / top) if rising else (1.0, end, (step - top) / (last - top))
    return goal + (begin - goal) * (1 + math.cos(math.pi * progress)) / 2
