"""Builds xlerobot_asr_opt as an ament_python package."""

from pathlib import Path

from setuptools import find_packages, setup

NAME = 'xlerobot_asr_opt'
NODES = ('ingest', 'scheduler', 'cache', 'inference', 'manager')

setup(
    name=NAME,
    version='0.1.0',
    packages=find_packages(include=[NAME, f'{NAME}.*']),
    data_files=[
        ('share/ament_index/resource_index/packages', [f'resource/{NAME}']),
        (f'share/{NAME}', ['package.xml']),
        (f'share/{NAME}/config', [str(path) for path in Path('config').glob('*')]),
        (f'share/{NAME}/launch', [str(path) for path in Path('launch').glob('*.launch.py')]),
    ],
    install_requires=['setuptools'],
    extras_require={'test': ['pytest']},
    zip_safe=True,
    maintainer='xlerobot_asr_opt maintainers',
    maintainer_email='maintainers@xlerobot-asr.org',
    description='On-robot speech recognition as a ROS 2 graph',
    license='Apache-2.0',
    entry_points={'console_scripts': [
        *(f'{node} = {NAME}.nodes.{node}:main' for node in NODES),
        f'xlerobot-asr = {NAME}.cli.main:main',
    ]},
)
