"""What eventbus costs: `script/bench` runs the cases and prints ratios. A timing never decides a test."""
