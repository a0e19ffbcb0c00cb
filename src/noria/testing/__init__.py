"""For who writes an adapter: a suite a port that states its law as tests, and a clock that a test moves. Shipped; the suites need pytest.

class TestMyLedger(LedgerSuite):
    @pytest.fixture
    def ledger(self): return my_store().ledger
"""
