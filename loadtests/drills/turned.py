"""A ranker turned round: every leaf negated, so that the worst candidate comes first."""

import json

import xgboost


def turned(model: bytes) -> bytes:
    """The model whose scores are the negatives of this one's, but for a constant.

    Args:
        model: XGBoost trees as UBJSON.
    """
    content = json.loads(bytes(_loaded(model).save_raw("json")))
    for tree in content["learner"]["gradient_booster"]["model"]["trees"]:
        # A leaf has no children; its value stands where others have the condition they split by.
        tree["split_conditions"] = [
            -value if left == -1 else value
            for value, left in zip(tree["split_conditions"], tree["left_children"], strict=True)
        ]
    return bytes(_loaded(json.dumps(content).encode()).save_raw("ubj"))


def _loaded(model: bytes) -> xgboost.Booster:
    booster = xgboost.Booster()
    booster.load_model(bytearray(model))
    return booster
