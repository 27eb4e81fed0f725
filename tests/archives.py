"""Small archives in the official formats, written from real images."""
import gzip
import io
import pickle
import struct
import tarfile

import numpy
import scipy.io

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
    """Real images with channels that differ, so that a swap shows, and labels of all the classes."""
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
        return numpy.concatenate([part.astype('uint8') for part in lead] + [planes(images)], axis=1).tobytes()
    if classes == 10:
        step = train // 5
        files = {'data_batch_%d.bin' % (i + 1): records(*(part[i * step:(i + 1) * step] for part in truth['train']))
                 for i in range(5)}
        files['test_batch.bin'] = records(*truth['test'])
        tar(path, 'cifar-10-batches-bin', files)
    else:
        tar(path, 'cifar-100-binary', {'train.bin': records(*truth['train']), 'test.bin': records(*truth['test'])})
    return truth


def batch_pickle(images, labels, key):
    """A batch as the official files have it: protocol 2, byte-string keys."""
    batch = {key: [int(label) for label in labels], b'data': planes(images), b'filenames': [b'x.png'] * len(labels)}
    # latin1 bytes of protocol 2 from Python 3 ask for _codecs.encode, which the official files, made by
    # Python 2, do not: protocol 3 has bytes of its own and the same reconstruction of arrays.
    return pickle.dumps(batch, protocol=3).replace(*OLD_NUMPY)


def cifar_python(path, fashion, dataset='cifar10', train=100, test=30):
    """Write the Python version; return {split: (images, labels)}."""
    classes = 10 if dataset == 'cifar10' else 100
    truth = {s.name: coloured(s, n, classes) for s, n in zip(fashion, (train, test))}
    if classes == 10:
        step = train // 5
        files = {'data_batch_%d' % (i + 1): batch_pickle(*(part[i * step:(i + 1) * step] for part in truth['train']),
                                                         b'labels') for i in range(5)}
        files['test_batch'] = batch_pickle(*truth['test'], b'labels')
        tar(path, 'cifar-10-batches-py', files)
    else:
        tar(path, 'cifar-100-python', {name: batch_pickle(*truth[name], b'fine_labels') for name in ('train', 'test')})
    return truth


def svhn(folder, fashion, train=60, extra=40, test=30):
    """Write the three MATLAB files; return {file: (images, labels with digit 0 as 0)}."""
    truth = {}
    images = numpy.concatenate([fashion[0].images[:train + extra], fashion[1].images[:test]])
    images, labels = coloured(fashion[0]._replace(images=images), len(images), 10)
    start = 0
    for name, count in (('train', train), ('extra', extra), ('test', test)):
        own, digits = images[start:start + count], labels[start:start + count]
        written = numpy.where(digits == 0, 10, digits).astype('uint8').reshape(-1, 1)
        scipy.io.savemat(str(folder / (name + '_32x32.mat')), {'X': own.transpose(1, 2, 3, 0), 'y': written},
                         do_compression=True)
        truth[name] = own, digits
        start += count
    return truth


def idx(path, array):
    """Write an idx file, compressed."""
    header = bytes([0, 0, 8, array.ndim]) + struct.pack('>%dI' % array.ndim, *array.shape)
    with gzip.open(path, 'wb') as file:
        file.write(header + array.astype('uint8').tobytes())
