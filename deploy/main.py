"""What spark-submit runs on the cluster: the job's command line. Its code comes by --py-files."""

from streaming.__main__ import main

if __name__ == "__main__":
    main()
