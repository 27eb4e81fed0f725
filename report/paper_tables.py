"""The paper's result tables as it prints them, from data/paper/, and its names for the networks."""

import csv
import functools
import os
import re

FOLDER = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), 'data', 'paper')
LABELS = {1: 1, 2: 2, 3: 1, 4: 2, 5: 3, 6: 1, 7: 1}  # number of columns that name a row, by table
TITLES = {
    1: 'The fused net N_f3 and the ensemble of its components, by depth (CIFAR-10)',
    2: 'Components with and without weight sharing (CIFAR-10)',
    3: 'The ensemble without one of its components, not trained again (CIFAR-10)',
    4: 'Networks of one size on CIFAR-10, CIFAR-100 and SVHN',
    5: 'DFN-MR, wide and deep',
    6: 'ResNet-101 and DFN-MR on ImageNet, one centre crop',
    7: 'ResNet-50, DFN1 and DFN2 on ImageNet, one centre crop',
}
NETWORKS = {
    'Plain': 'plain',
    'ResNet': 'resnet',
    'DFN-IL': 'il',
    'DFN-MR': 'mr',
    'DFN': 'fuse3',
    'Ensemble': 'ensemble8',
}
DATASETS = {'CIFAR-10': 'cifar10', 'CIFAR-100': 'cifar100', 'SVHN': 'svhn'}
IMAGENET = {
    'ResNet-101': ('resnet', 101),
    'DFN-MR': ('mr', 44),
    'ResNet-50': ('resnet', 50),
    'DFN1': ('dfn1', 50),
    'DFN2': ('dfn2', 50),
}
FIELDS = {
    'Top-1 validation error': 'test_error',
    'Top-5 validation error': 'test_top5',
    'Top-1 training error': 'train_error',
    'Top-5 training error': 'train_top5',
    'parameters': 'parameters',
}
# Appendix A.1, to which Table 7 belongs, gives no number of epochs.
EPOCHS = {'cifar10': 400, 'cifar100': 400, 'svhn': 40, 'imagenet': 100}


@functools.cache
def read(number):
    """Return header and rows of one of the paper's tables, with cells as texts; change neither."""
    with open(os.path.join(FOLDER, f'table{number}.csv'), encoding='utf-8', newline='') as file:
        header, *rows = csv.reader(file)
    return header, rows


def printed_error(text):
    """Return the error in % in a cell of the paper, None for ``fail``, ``-`` and other words."""
    found = re.match(r'(?:\*\*)?(\d+(?:\.\d+)?)', text)
    return float(found.group(1)) if found else None
