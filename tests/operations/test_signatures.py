"""Who signed a text: told by what other implementations have signed, and for nothing but that."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operations.signatures import BadSignature, is_mistyped, signer_of
from tests.operations.signing import Account

# Of the order of the curve.
ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
# Made with eth-account; the first is the example of web3.js' documentation too.
OTHERS = [
    (
        "Some data",
        "0x2c7536E3605D9C16a7a3D7b1898e529396a65c23",
        "0xb91467e570a6466aa9e9876cbcd013baba02900b8979d43fe208a4a4f339f5fd60"
        "07e74cd82e037b800186422fc2da167c747ef045e5d18a5f5d4300f8e1a0291c",
    ),
    (
        '{"permission_id": 4096}',
        "0x19E7E376E7C213B7E7e7e46cc70A5dD086DAff2A",
        "0xd7fc295c19ed55eeef1f0785d66d6f072025da33fb56b7d8604d247ad10a1f053c"
        "4f3b1793b37b32eecafcfd99b470640e71dcab0a81842d8ce6a51545b6a4eb1c",
    ),
    (
        "",
        "0xe239cdc5fbe977a8a141B72194D3CF8c41bC5BC6",
        "0x9ef325bbd8e150ca8ec989b534c7046740dde519f4ec46c89705f3d3c31913613b"
        "23746fe270f594cc7f92ba6dd170387fbd8316e37fc6ee2876c8ce198d48e81b",
    ),
    (
        "Grüße, 你好 😀\n",
        "0x1a642f0E3c3aF545E7AcBD38b07251B3990914F1",
        "0xd6fa4317fd727af192d4bd53b1d0eda84d9f0763a2e2464ea84c5b94ee024be059"
        "792f9b70d000b1dd480ee1ebf47c5dbcfc7164adbe9cd9877f7bf06f505ac01b",
    ),
]


@pytest.mark.parametrize(("text", "address", "signature"), OTHERS)
def test_signatures_of_other_implementations_are_understood(text, address, signature):
    assert signer_of(text, signature) == address.lower()


@given(st.text())
def test_every_text_that_is_signed_tells_its_signer(text):
    account = Account()
    assert signer_of(text, account.sign(text)) == account.address


def test_devices_that_number_the_recovery_from_zero_are_understood():
    account = Account()
    assert signer_of("text", account.sign("text", v_base=0)) == account.address


@pytest.mark.parametrize("v", [2, 3, 26, 29, 30, 31, 35, 36, 255])
def test_any_other_v_is_refused(v):
    signature = Account().sign("text")[:-2] + f"{v:02x}"
    with pytest.raises(BadSignature, match="v must be"):
        signer_of("text", signature)


def test_the_twin_that_anybody_can_compute_is_refused():
    raw = Account().raw("text")
    twin = raw[:32] + (ORDER - int.from_bytes(raw[32:64])).to_bytes(32)
    for v in (27, 28):
        with pytest.raises(BadSignature, match="EIP-2"):
            signer_of("text", f"0x{twin.hex()}{v:02x}")


@pytest.mark.parametrize("r", [0, ORDER, 2**256 - 1])
@pytest.mark.parametrize("s", [0, 1])
def test_numbers_outside_of_the_curve_are_refused(r, s):
    with pytest.raises(BadSignature):
        signer_of("text", f"0x{r.to_bytes(32).hex()}{s.to_bytes(32).hex()}1b")


@given(st.data())
def test_no_changed_byte_of_a_signature_is_the_signers(data):
    account = Account("11" * 32)
    good = bytearray.fromhex(account.sign("text")[2:])
    at = data.draw(st.sampled_from([0, 1, 15, 31, 32, 33, 47, 63, 64]))
    changed = data.draw(st.integers(0, 255).filter(lambda value: value != good[at]))
    # 0 and 1 are other names for the same v.
    if at == 64 and changed == good[at] - 27:
        return
    good[at] = changed
    with suppress(BadSignature):
        assert signer_of("text", f"0x{good.hex()}") != account.address


@given(st.text(min_size=1), st.data())
def test_no_changed_text_is_the_signers(text, data):
    account = Account("22" * 32)
    other = data.draw(st.text().filter(lambda each: each != text))
    with suppress(BadSignature):
        assert signer_of(other, account.sign(text)) != account.address


def test_the_case_of_an_address_tells_of_a_slip():
    good = "0x2c7536E3605D9C16a7a3D7b1898e529396a65c23"
    assert not is_mistyped(good)
    assert not is_mistyped(good.lower())
    assert not is_mistyped("0x" + good[2:].upper())
    assert is_mistyped(good.replace("2c75", "2C75"))
    assert is_mistyped(good.replace("c23", "c24"))
