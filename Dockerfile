# The lab on the CPU. Runs land in /work/runs:
#   docker build -t staircase-lab .
#   docker run --rm -v "$PWD:/work" staircase-lab staircase-train --env reach
FROM python:3.11-slim

WORKDIR /src
COPY . .
RUN pip install --no-cache-dir --index-url https://download.pytorch.org/whl/cpu torch==2.13.0 \
    && pip install --no-cache-dir -c constraints.txt .

WORKDIR /work
ENV OMP_NUM_THREADS=1
CMD ["staircase-train", "--help"]
