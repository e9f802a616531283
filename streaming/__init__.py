"""StockETL streaming: CSV drops of stock prices become three wide PostgreSQL tables, exactly once."""

__version__ = "0.2.0"
