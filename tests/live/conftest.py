import pytest

from tests.product import Product


@pytest.fixture(scope="module")
def product():
    """A running product, shared by the tests of a module."""
    product = Product()
    product.start()
    yield product
    product.remove()


@pytest.fixture
def own_product():
    """A running product that the test may kill."""
    product = Product()
    product.start()
    yield product
    product.remove()
