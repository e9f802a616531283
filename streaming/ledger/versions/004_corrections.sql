-- What each drop did to the cells. Null: it is not known, since the drop is older than this. `stocketl fill` works it out.

ALTER TABLE stocketl.drops
    ADD COLUMN cells_new         bigint CHECK (cells_new >= 0),
    ADD COLUMN cells_changed     bigint CHECK (cells_changed >= 0),
    ADD COLUMN cells_same        bigint CHECK (cells_same >= 0),
    ADD COLUMN returns_rewritten bigint CHECK (returns_rewritten >= 0),
    ADD COLUMN tickers_new       bigint CHECK (tickers_new >= 0),
    -- the rows of stocketl.corrections that are this drop's; null: they are not there, see `--explain`
    ADD COLUMN corrections       bigint CHECK (corrections >= 0),
    ADD CONSTRAINT loaded_reconcile CHECK (rows_loaded = cells_new + cells_changed + cells_same);

-- The cells that a drop changed: they had a price before it, and price, volume or return is another one after it.
CREATE TABLE stocketl.corrections (
    seq           bigint NOT NULL,
    date          date NOT NULL,
    id            text NOT NULL,
    price_before  double precision NOT NULL,
    price_after   double precision NOT NULL,
    volume_before bigint,
    volume_after  bigint,
    return_before double precision,
    return_after  double precision,
    at            timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (id, date, seq) -- what is asked for is the past of a cell
);
CREATE INDEX corrections_by_seq ON stocketl.corrections USING brin (seq); -- a few pages: rows come in the order of seq
