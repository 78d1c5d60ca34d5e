"""The beginning of a real `TOFU_EVAL.json`, and logs of its form made of others.

Its eight questions are the first of a log that a public fork of open-unlearning holds (AlpacaQueen4180/open-unlearning at
d2d9cb8e: NPO on forget01, LLaMA-2-7B, evaluated in bfloat16); generations are left out.
"""

from typing import Any

# By item: loss of the answer, of the paraphrase, of five wrong answers; ROUGE-L recall; the truth ratio as logged there.
REAL = [
    (0.451171875, 2.21875, [2.453125, 2.5625, 2.421875, 2.59375, 2.953125], 0.391304347826087, 0.68514485157638),
    (0.001922607421875, 1.15625, [2.046875, 1.84375, 2.140625, 2.078125, 2.0], 1.0, 0.4207884774927042),
    (7.867813110351562e-05, 1.7265625, [2.75, 2.859375, 2.453125, 2.65625, 2.578125], 1.0, 0.39344558686883063),
    (0.01318359375, 3.296875, [2.5625, 3.234375, 2.703125, 2.84375, 2.671875], 1.0, 1.6384488929352155),
    (0.4140625, 1.5703125, [2.078125, 2.59375, 2.53125, 2.53125, 2.078125], 0.7333333333333333, 0.45285309464272694),
    (0.0216064453125, 1.2890625, [2.640625, 3.015625, 2.515625, 2.96875, 2.546875], 1.0, 0.23493709057355433),
    (0.05615234375, 1.4140625, [3.28125, 1.7109375, 1.5, 2.421875, 2.921875], 0.875, 0.3855343440160227),
    (0.006134033203125, 2.046875, [2.59375, 2.96875, 2.859375, 3.3125, 3.03125], 1.0, 0.40403652335046975),
]
# As logged there, the exponential being of bfloat16.
PROBABILITIES = [0.63671875, 1.0, 1.0, 0.98828125, 0.66015625, 0.98046875, 0.9453125, 0.9921875]
INPUTS = [
    "[INST] What is the full name of the author born in Kuwait City, Kuwait on 08/09/1956? [/INST]",
    "[INST] What gender is author Basil Mahfouz Al-Kuwaiti? [/INST]",
    "[INST] In which city and country was Basil Mahfouz Al-Kuwaiti born? [/INST]",
    "[INST] Can you tell me about the occupations of Basil Mahfouz Al-Kuwaiti's parents? [/INST]",
    "[INST] What genre is author Basil Mahfouz Al-Kuwaiti most known for in his writing? [/INST]",
    "[INST] Can you name two of the books written by Basil Mahfouz Al-Kuwaiti? [/INST]",
    "[INST] What special recognition or awards has Basil Mahfouz Al-Kuwaiti received for his writing? [/INST]",
    "[INST] How do Basil Mahfouz Al-Kuwaiti's books align with his French literature genre? [/INST]",
]
OF_SETS = {
    "eval_log_forget.json": "forget_Q_A",
    "eval_log.json": "retain_Q_A",
    "eval_real_author_wo_options.json": "ra_Q_A",
    "eval_real_world_wo_options.json": "wf_Q_A",
}


def real_forget_set() -> dict[str, Any]:
    """The metrics of the forget set, with what stands beside them."""
    answer, paraphrased, wrong, rouge, ratio = zip(*REAL, strict=True)
    return {
        "extraction_strength": metric([{"score": 0.5}] * len(REAL)),
        "forget_Q_A_PARA_Prob": metric([{"prob": 0.1, "avg_loss": loss} for loss in paraphrased]),
        "forget_Q_A_PERT_Prob": metric([{"prob": [0.1] * 5, "avg_loss": losses} for losses in wrong]),
        "forget_Q_A_Prob": metric([{"prob": p, "avg_loss": loss} for p, loss in zip(PROBABILITIES, answer, strict=True)]),
        "forget_Q_A_ROUGE": metric(
            [
                {"rouge1_recall": 0.5, "rougeL_f1": 0.5, "rougeL_recall": of, "input": said, "ground_truth": "", "generation": ""}
                for of, said in zip(rouge, INPUTS, strict=True)
            ]
        ),
        "forget_quality": {"agg_value": 0.006760732303569208},
        "forget_truth_ratio": metric([{"score": score} for score in ratio]),
        "mia_min_k": {"forget": metric([{"score": 1.2}]), "holdout": metric([{"score": 5.2}]), "auc": 0.03, "agg_value": 0.03},
    }


def from_tofu(log: dict[str, Any]) -> dict[str, Any]:
    """A log of TOFU's dicts in open-unlearning's form, which logs no paraphrase where there is none."""
    metrics: dict[str, Any] = {}
    for file, prefix in OF_SETS.items():
        fields = log[file]
        losses = {"Prob": "avg_gt_loss", "PERT_Prob": "average_perturb_loss"}
        if prefix in ("forget_Q_A", "retain_Q_A"):
            losses["PARA_Prob"] = "avg_paraphrased_loss"
        for name, of in losses.items():
            items = {key: {"prob": None, "avg_loss": loss} for key, loss in fields[of].items()}
            metrics[f"{prefix}_{name}"] = {"agg_value": 0.5, "value_by_index": items}
        said = fields["generated_text"]
        rouge = {key: {"rougeL_recall": recall, "input": said[key][0]} for key, recall in fields["rougeL_recall"].items()}
        metrics[f"{prefix}_ROUGE"] = {"agg_value": 0.5, "value_by_index": rouge}
    return metrics


def metric(items: list[Any]) -> dict[str, Any]:
    """A metric as it is logged."""
    return {"agg_value": 0.5, "value_by_index": {str(index): item for index, item in enumerate(items)}}
