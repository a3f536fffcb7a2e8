# The lab on the CPU. Runs land in /work/runs:
#   docker build -t staircase-lab .
#   docker run --rm -v "$PWD:/work" staircase-lab staircase-train --env reach
FROM python:3.11-slim

WORKDIR /src
COPY . .
RUN pip install --no-cache-dir -c constraints.txt --extra-index-url https://download.pytorch.org/whl/cpu .

WORKDIR /work
ENV OMP_NUM_THREADS=1
CMD ["staircase-train", "--help"]
