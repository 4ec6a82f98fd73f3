"""VADER: a lexicon, and rules that rate how a short English text sounds.

From vaderSentiment 3.3.2 by C.J. Hutto (https://github.com/cjhutto/vaderSentiment, MIT, see LICENSE): its two lexicons
unchanged, its rules rewritten with the same results.

Hutto, C.J. & Gilbert, E.E. (2014). VADER: A Parsimonious Rule-based Model for Sentiment Analysis of Social Media Text.
Eighth International Conference on Weblogs and Social Media (ICWSM-14).
"""
