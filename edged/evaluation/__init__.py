"""`edged eval`: how good the resident model's answers and confidences are.

Reading order: run (the command), cases (rows whose right answer is known, and what the engine
answers to them), fitting and reliability (of confidences), injection (texts that give orders).
"""
