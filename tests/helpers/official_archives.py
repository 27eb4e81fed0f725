"""Small archives in the official formats, written from real images."""

import gzip
import io
import pickle
import struct
import tarfile

import numpy
import scipy.io
from matplotlib.cbook import get_sample_data

from recordio.images import cv2

# Where Python 2 put NumPy's reconstructor, and where the official pickles look for it.
OLD_NUMPY = (b'numpy._core.multiarray', b'numpy.core.multiarray')


def planes(images):
    """(n, 32, 32, 3) to rows of 3,072 bytes: red plane, green, blue."""
    return images.transpose(0, 3, 1, 2).reshape(len(images), 3072)


def tar(path, folder, files):
    """Write {name: bytes} as folder/name of a gzip-compressed tar."""
    with tarfile.open(path, 'w:gz') as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(folder + '/' + name if folder else name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def coloured(split, count, classes):
    """Real images with channels that differ, so that a swap shows, and labels of all the
    classes.
    """
    images = numpy.array(split.images[:count])
    images[..., 1] //= 2
    images[..., 2] = 255 - images[..., 2]
    return images, numpy.arange(count) % classes


def cifar_binary(path, fashion, dataset='cifar10', train=100, test=30):
    """Write the binary version; return {split: (images, labels)}."""
    classes = 10 if dataset == 'cifar10' else 100
    truth = {s.name: coloured(s, n, classes) for s, n in zip(fashion, (train, test))}

    def records(images, labels):
        lead = [labels[:, None]] if classes == 10 else [labels[:, None] // 5, labels[:, None]]
        return numpy.concatenate(
            [part.astype('uint8') for part in lead] + [planes(images)], axis=1
        ).tobytes()

    if classes == 10:
        step = train // 5
        files = {
            f'data_batch_{i + 1}.bin': records(
                *(part[i * step : (i + 1) * step] for part in truth['train'])
            )
            for i in range(5)
        }
        files['test_batch.bin'] = records(*truth['test'])
        tar(path, 'cifar-10-batches-bin', files)
    else:
        tar(
            path,
            'cifar-100-binary',
            {'train.bin': records(*truth['train']), 'test.bin': records(*truth['test'])},
        )
    return truth


def batch_pickle(images, labels, key):
    """A batch as the official files have it: protocol 2, byte-string keys."""
    batch = {
        key: [int(label) for label in labels],
        b'data': planes(images),
        b'filenames': [b'x.png'] * len(labels),
    }
    # latin1 bytes of protocol 2 from Python 3 ask for _codecs.encode, which the official files,
    # made by Python 2, do not: protocol 3 has bytes of its own and the same reconstruction of
    # arrays.
    return pickle.dumps(batch, protocol=3).replace(*OLD_NUMPY)


def cifar_python(path, fashion, dataset='cifar10', train=100, test=30):
    """Write the Python version; return {split: (images, labels)}."""
    classes = 10 if dataset == 'cifar10' else 100
    truth = {s.name: coloured(s, n, classes) for s, n in zip(fashion, (train, test))}
    if classes == 10:
        step = train // 5
        files = {
            f'data_batch_{i + 1}': batch_pickle(
                *(part[i * step : (i + 1) * step] for part in truth['train']), b'labels'
            )
            for i in range(5)
        }
        files['test_batch'] = batch_pickle(*truth['test'], b'labels')
        tar(path, 'cifar-10-batches-py', files)
    else:
        tar(
            path,
            'cifar-100-python',
            {name: batch_pickle(*truth[name], b'fine_labels') for name in ('train', 'test')},
        )
    return truth


def svhn(folder, fashion, train=60, extra=40, test=30):
    """Write the three MATLAB files; return {file: (images, labels with digit 0 as 0)}."""
    truth = {}
    images = numpy.concatenate([fashion[0].images[: train + extra], fashion[1].images[:test]])
    images, labels = coloured(fashion[0]._replace(images=images), len(images), 10)
    start = 0
    for name, count in (('train', train), ('extra', extra), ('test', test)):
        own, digits = images[start : start + count], labels[start : start + count]
        written = numpy.where(digits == 0, 10, digits).astype('uint8').reshape(-1, 1)
        scipy.io.savemat(
            str(folder / (name + '_32x32.mat')),
            {'X': own.transpose(1, 2, 3, 0), 'y': written},
            do_compression=True,
        )
        truth[name] = own, digits
        start += count
    return truth


def idx(path, array):
    """Write an idx file, compressed."""
    header = bytes([0, 0, 8, array.ndim]) + struct.pack(f'>{array.ndim}I', *array.shape)
    with gzip.open(path, 'wb') as file:
        file.write(header + array.astype('uint8').tobytes())


def photograph():
    """A real photograph, (768, 1024, 3) in BGR: Matplotlib's, turned and scaled."""
    image = cv2.imread(get_sample_data('grace_hopper.jpg', asfileobj=False))
    turned = cv2.rotate(image, cv2.ROTATE_90_CLOCKWISE)  # 606 pixels wide and 512 high
    return cv2.resize(turned, (1024, 768), interpolation=cv2.INTER_CUBIC)


def crops(count, seed=0):
    """``count`` parts of a photograph, of several sizes and shapes."""
    image, random = photograph(), numpy.random.RandomState(seed)
    for _ in range(count):
        height, width = random.randint(40, 200, 2)
        top, left = random.randint(0, 768 - height), random.randint(0, 1024 - width)
        yield numpy.ascontiguousarray(image[top : top + height, left : left + width])


def jpeg(image, quality=90):
    return cv2.imencode('.jpg', image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


def plain_tar(files):
    """Return a tar, not compressed, of {name: bytes}."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode='w') as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return out.getvalue()


SYNSETS = [
    'n02084071',
    'n01440764',
    'n07697537',
]  # not in the order of their labels, as in the devkit


def imagenet(folder, train, val, devkit=True):
    """Write ImageNet's tars of {synset: [bytes]} and [(synset, bytes)], and the devkit or the list
    of labels.
    """
    inner = {
        synset + '.tar': plain_tar(
            {f'{synset}_{number}.JPEG': content for number, content in enumerate(contents)}
        )
        for synset, contents in train.items()
    }
    (folder / 'ILSVRC2012_img_train.tar').write_bytes(plain_tar(inner))
    (folder / 'ILSVRC2012_img_val.tar').write_bytes(
        plain_tar(
            {
                f'ILSVRC2012_val_{number + 1:08}.JPEG': content
                for number, (_, content) in enumerate(val)
            }
        )
    )
    if not devkit:
        (folder / 'imagenet_2012_validation_synset_labels.txt').write_text(
            ''.join(synset + '\n' for synset, _ in val)
        )
        return folder
    table = numpy.array(
        [(number + 1, synset, 'words') for number, synset in enumerate(SYNSETS)],
        dtype=[('ILSVRC2012_ID', float), ('WNID', object), ('words', object)],
    )
    meta = io.BytesIO()
    scipy.io.savemat(meta, {'synsets': table[:, None]})
    truth = ''.join(f'{int(SYNSETS.index(synset) + 1)}\n' for synset, _ in val)
    tar(
        str(folder / 'ILSVRC2012_devkit_t12.tar.gz'),
        'ILSVRC2012_devkit_t12/data',
        {'meta.mat': meta.getvalue(), 'ILSVRC2012_validation_ground_truth.txt': truth.encode()},
    )
    return folder
