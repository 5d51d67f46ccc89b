# make demo   hears a real recording through the whole graph      make test   lint and every test
# make build  environment and packages only                       make bench  every figure, with its peers
# make check-deploy  fetches the linters of deploy/'s files, and has them judge these
SHELL := /bin/bash
SPEED ?= 1
PYTEST ?=
LINTED := xlerobot_asr_opt test bench tools launch setup.py

.PHONY: demo test lint build bench models check-deploy clean

demo: build
	@. ./env.sh && xlerobot-asr demo --speed $(SPEED)

test: lint models
	@. ./env.sh && python -m pytest $(PYTEST)

lint: build
	@. ./env.sh && python -m ruff check $(LINTED) && python -m mypy -p xlerobot_asr_opt

bench: models
	@. ./env.sh && python -m bench

check-deploy: build
	@python3 -m venv build/deploy && build/deploy/bin/python -m pip install --quiet --require-hashes --no-deps -r requirements/locked/deploy.txt
	@. ./env.sh && python -m pytest -rs test/unit/test_deploy.py test/unit/test_operations.py

models: build
	@. ./env.sh && xlerobot-asr models fetch --quiet whisper-tiny.en silero-vad two_cities

build:
	@python3 tools/bootstrap.py

clean:
	@python3 tools/bootstrap.py --clean
